import pytest
import torch
from torch.nn.functional import cross_entropy

from sert.student.training.loss import cross_entropy_sum


@pytest.fixture(params=[1, 150, 10**6])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one row, of three rows with one left over, and of all rows."""
    monkeypatch.setattr("sert.student.training.loss.CHUNK_LOGITS", request.param)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-7)])
def test_loss_and_gradient_are_those_of_torch(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    logits = (4 * torch.randn(7, 50)).to(dtype)
    logits[2] += 500  # an exponential of which is no number
    targets = torch.randint(0, 50, (7,))
    found, expected = (logits.clone().requires_grad_() for _ in range(2))
    loss = cross_entropy_sum(found, targets) * 0.3
    reference = cross_entropy(expected.float(), targets, reduction="sum") * 0.3
    loss.backward()
    reference.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(reference.item(), rel=1e-6)
    assert found.grad.dtype == dtype
    torch.testing.assert_close(found.grad, expected.grad, rtol=tolerance, atol=tolerance / 1000)


@pytest.mark.usefixtures("chunk")
def test_the_gradient_is_that_of_the_function_and_can_be_asked_for_again() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 6, dtype=torch.float64, requires_grad=True), torch.tensor([0, 5, 5, 2])
    assert torch.autograd.gradcheck(lambda logits: cross_entropy_sum(logits, targets) * 2, logits)
    loss = cross_entropy_sum(logits, targets) * 2
    first, second = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_logits_are_left_as_they_are() -> None:
    logits = torch.randn(4, 6)
    before = logits.clone()
    cross_entropy_sum(logits, torch.tensor([0, 5, 5, 2]))
    assert torch.equal(logits, before)


def test_a_loss_that_is_not_finite_is_seen() -> None:
    logits = torch.zeros(2, 3)
    logits[1, 1] = torch.nan
    assert cross_entropy_sum(logits, torch.tensor([0, 0])).isnan()
