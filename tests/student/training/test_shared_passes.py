"""What texts have in common is read once, and each gets what a forward pass of it alone gives."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import transformers

from sert.student.load import Student, make_student
from sert.student.training import scoring
from sert.student.training.batching import EncodedExample
from sert.student.training.scoring import Tree, lay_out, log_probabilities
from tests_support import TINY, make_tokenizer

PROMPTS = ("Question: Is ice cold?\nAnswer:", "Question: Is it so, and why would that ever be?\nAnswer:", "Why?")
PATHS = (" Ice is frozen.", " Ice is water that froze in winter, and so cold.", " It melts.", "")
ANSWERS = (" yes", " yesterday", " no")


def make(config: str, **special: Any) -> Student:
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    settings = getattr(transformers, config)(vocab_size=len(tokenizer), **TINY | special)
    return make_student(transformers.AutoModelForCausalLM.from_config(settings), tokenizer, name=config)


def texts_of(student: Student) -> list[EncodedExample]:
    """Every answer behind every path of every prompt; what is scored begins at the answer."""
    encoded = []
    for prompt in PROMPTS:
        for path in PATHS:
            before = student.encode_prompt(f"{prompt}{path} So the answer is")
            encoded += [EncodedExample([*before, *student.encode_completion(each)], len(before)) for each in ANSWERS]
    return encoded


def plain_sum(student: Student, encoded: EncodedExample) -> float:
    """Sum the log-probabilities of the supervised tokens by one forward pass of transformers."""
    with torch.no_grad():
        shares = student.model(torch.tensor([encoded.token_ids])).logits[0].log_softmax(-1)
    places = range(max(encoded.num_masked, 1), len(encoded.token_ids))
    return sum(float(shares[at - 1, encoded.token_ids[at]]) for at in places)


@contextmanager
def tokens_read(student: Student) -> Iterator[list[int]]:
    """Note how many tokens each forward pass reads."""
    read: list[int] = []

    def note(_module: object, _args: object, given: dict[str, torch.Tensor]) -> None:
        read.append(given["input_ids"].numel())

    hook = student.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield read
    finally:
        hook.remove()


SHARED = [
    ("GPT2Config", {}),
    ("LlamaConfig", {}),
    ("Qwen3Config", {"head_dim": 16}),
    ("MistralConfig", {"sliding_window": 200}),
    ("GraniteConfig", {"logits_scaling": 4.0}),
    ("Gemma2Config", {"head_dim": 8, "sliding_window": 200, "attn_implementation": "eager"}),
]
ALONE = [
    ("MistralConfig", {"sliding_window": 8}, "its attention does not see all of"),
    ("MambaConfig", {"state_size": 8}, "not attention over the whole text"),
    ("Lfm2Config", {"num_hidden_layers": 4, "full_attn_idxs": [1, 3]}, "not attention over the whole text"),
    ("BloomConfig", {"n_head": 4, "n_layer": 2}, "ValueError with a mask of its own"),
]


@pytest.mark.parametrize(("config", "special"), SHARED, ids=lambda each: str(each)[:20])
def test_texts_share_passes_and_get_what_they_get_alone(config: str, special: dict[str, Any]) -> None:
    student, said = make(config, **special), list[str]()
    encoded = texts_of(student)
    found = log_probabilities(student, encoded, say=said.append)
    assert said == []
    assert found == pytest.approx([plain_sum(student, each) for each in encoded], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("config", "special", "reason"), ALONE, ids=lambda each: str(each)[:20])
def test_a_student_that_cannot_share_reads_each_text_alone_and_says_so(
    config: str, special: dict[str, Any], reason: str
) -> None:
    student, said = make(config, **special), list[str]()
    encoded = texts_of(student)
    found = log_probabilities(student, encoded, say=said.append)
    assert found == pytest.approx([plain_sum(student, each) for each in encoded], rel=1e-4, abs=1e-4)
    (line,) = said
    assert line.startswith("warning: texts share no passes, which takes longer: ")
    assert reason in line


def test_a_student_that_takes_no_notice_of_positions_is_found_out_on_the_texts_themselves() -> None:
    student, said = make("GPT2Config"), list[str]()

    def forget(_module: object, args: object, given: dict[str, Any]) -> tuple[object, dict[str, Any]]:
        return args, {name: value for name, value in given.items() if name != "position_ids"}

    student.model.register_forward_pre_hook(forget, with_kwargs=True)
    encoded = texts_of(student)[:12]  # so few that the places of a tree are positions, too
    found = log_probabilities(student, encoded, say=said.append)
    assert found == pytest.approx([plain_sum(student, each) for each in encoded], rel=1e-4, abs=1e-4)
    (line,) = said
    assert re.search(r": a token differs by \d\S* nats$", line)


def test_most_of_what_is_common_is_read_once(student: Student) -> None:
    encoded = texts_of(student)
    with tokens_read(student) as read:
        log_probabilities(student, encoded)
    distinct = {tuple(each.token_ids[:end]) for each in encoded for end in range(1, len(each.token_ids))}
    tried = 2 * max(len(each.token_ids) for each in encoded)  # alone
    assert sum(read) <= len(distinct) + tried
    assert 4 * len(distinct) < sum(len(each.token_ids) for each in encoded)


@pytest.mark.parametrize("most", [1, 40, 100, 10_000])
def test_the_size_of_trees_changes_nothing(student: Student, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = texts_of(student)
    expected = [plain_sum(student, each) for each in encoded]
    monkeypatch.setattr(scoring, "TREE_TOKENS", most)
    assert log_probabilities(student, encoded) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_tree_by_hand() -> None:
    (tree,) = lay_out([(1, 2, 4), (1, 2, 3), (1, 5), (1, 2)], most=10)
    assert tree.token_ids == [1, 2, 3, 4, 5]
    assert tree.positions == [0, 1, 2, 2, 1]
    assert tree.ends == [5, 4, 3, 4, 5]
    assert tree.places == {(1, 2): [0, 1], (1, 2, 3): [0, 1, 2], (1, 2, 4): [0, 1, 3], (1, 5): [0, 4]}
    assert tree.visible(torch.device("cpu")).int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 0, 0, 0, 1],
    ]


def test_trees_end_where_nothing_is_shared_or_they_are_full() -> None:
    def laid_out(most: int) -> list[list[int]]:
        return [tree.token_ids for tree in lay_out([(1, 2), (1, 3), (1, 4, 5), (7, 8)], most=most)]

    assert laid_out(10) == [[1, 2, 3, 4, 5], [7, 8]]
    assert laid_out(4) == [[1, 2, 3], [1, 4, 5], [7, 8]]
    assert laid_out(0) == [[1, 2], [1, 3], [1, 4, 5], [7, 8]]


def test_a_tree_of_nothing_is_empty() -> None:
    assert len(Tree()) == 0 and [*lay_out([], most=10)] == []
