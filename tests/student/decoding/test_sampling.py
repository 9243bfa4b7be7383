import math

import pytest
import torch
from scipy import stats
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from sert.student.decoding.sampling import branch_first_tokens, lane_uniforms, sample_next, top_logits


def test_branches_keep_exactly_k_of_tied_tokens() -> None:
    logits = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0]])
    branches = branch_first_tokens(logits, num_branches=2, skip_ids=())
    assert branches.tokens.shape == (1, 2)
    expected = 1 - math.log(4 * math.e + 1)
    assert branches.logprobs.flatten().tolist() == pytest.approx([expected, expected])


def test_skipped_tokens_still_count_in_the_probabilities() -> None:
    branches = branch_first_tokens(torch.tensor([[math.log(2), 0.0, -50.0]]), num_branches=1, skip_ids=(0,))
    assert branches.tokens.tolist() == [[1]]
    assert branches.logprobs.item() == pytest.approx(math.log(1 / 3))


@pytest.mark.parametrize("num_branches", [0, 5])
def test_branches_outside_the_vocabulary_are_refused(num_branches: int) -> None:
    with pytest.raises(ValueError, match=r"\[1, 4\]"):
        branch_first_tokens(torch.zeros(1, 5), num_branches=num_branches, skip_ids=(0,))


def test_frequencies_follow_the_warped_distribution() -> None:
    torch.manual_seed(3)
    logits = torch.randn(1, 50) * 2
    n = 40_000
    uniforms = lane_uniforms(list(range(n)), num_steps=1)[:, 0]
    sampled = sample_next(logits.expand(n, 50), uniforms, top_k=10, top_p=0.8, temperature=1.3)
    warped = logits
    for warper in (TemperatureLogitsWarper(1.3), TopKLogitsWarper(10), TopPLogitsWarper(0.8)):
        warped = warper(torch.zeros(1, 1, dtype=torch.long), warped)
    expected = warped.softmax(dim=-1)[0]
    counts = torch.bincount(sampled.tokens, minlength=50)
    kept = expected > 0
    assert int(counts[~kept].sum()) == 0
    assert 1 < int(kept.sum()) < 10
    assert stats.chisquare(counts[kept].numpy(), (expected[kept] * n).double().numpy(), sum_check=False).pvalue > 0.01


def test_logprobs_are_untempered_and_untruncated() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    sampled = sample_next(logits, torch.tensor([0.0]).double(), top_k=1, top_p=0.1, temperature=9.0)
    assert sampled.tokens.tolist() == [0]
    assert sampled.logprobs.item() == pytest.approx(2 - math.log(math.exp(2) + math.e + 1))


def test_the_largest_uniform_stays_inside_the_kept_tokens() -> None:
    logits = torch.tensor([[3.0, 2.0, -9.0, -9.0]])
    sampled = sample_next(logits, torch.tensor([1 - 2**-53]).double(), top_k=4, top_p=0.9, temperature=1.0)
    assert sampled.tokens.tolist() == [1]


def test_uniforms_are_uniform_and_independent_of_the_batch() -> None:
    uniforms = lane_uniforms([1, 2, 3, 2**64 - 1], num_steps=5000)
    assert stats.kstest(uniforms.flatten().numpy(), "uniform").pvalue > 0.01
    assert torch.equal(lane_uniforms([3], num_steps=5000)[0], uniforms[2])
    assert abs(float(torch.corrcoef(uniforms)[0, 1])) < 0.05


@pytest.mark.parametrize("vocabulary", [50, 5_120, 50_257])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_top_logits_are_those_of_topk(vocabulary: int, k: int) -> None:
    torch.manual_seed(5)
    logits = torch.randn(7, vocabulary)
    logits[0, :10] += 50  # all in one block
    logits[1, -10:] += 50  # all behind the last whole block
    values, tokens, log_totals = top_logits(logits, k)
    expected = logits.topk(k, dim=1)
    assert torch.equal(values, expected.values)
    assert torch.allclose(log_totals, logits.logsumexp(dim=1, keepdim=True), rtol=1e-6)
    assert torch.equal(tokens, expected.indices)


def test_tied_top_logits_name_distinct_tokens() -> None:
    values, tokens, _ = top_logits(torch.zeros(2, 50_257), 10)
    assert values.unique().tolist() == [0.0]
    assert all(len(set(row)) == 10 for row in tokens.tolist())
