import pytest
import torch
from torch import nn

from sert.student.speed.dropout import Dropout, fast_dropout, keep_mask
from tests_support import tiny_gpt2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_each_value_is_dropped_as_often_as_it_should_be(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    keep = keep_mask((40_001, 4), share, dtype=dtype)[:-1]
    assert keep.dtype == dtype and set(keep.unique().tolist()) == {0.0, 1.0}
    # All four decisions from one number are fair, and no two of them alike.
    torch.testing.assert_close(keep.float().mean(0), torch.full((4,), 1 - share), rtol=0, atol=0.01)
    assert (keep.float().T.corrcoef() - torch.eye(4)).abs().max() < 0.03


def test_the_mask_follows_the_seed_and_not_the_number_type() -> None:
    made = []
    for seed, dtype in ((1, torch.float32), (1, torch.bfloat16), (2, torch.float32)):
        torch.manual_seed(seed)
        made.append(keep_mask((10, 7), 0.3, dtype=dtype).float())
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert not torch.equal(made[2], keep_mask((10, 7), 0.3, dtype=torch.float32))


def test_what_is_kept_is_scaled_and_so_is_its_gradient() -> None:
    torch.manual_seed(0)
    values = torch.randn(50, 40, requires_grad=True)
    layer = Dropout(0.2)
    dropped = layer(values)
    (dropped * 3).sum().backward()
    kept = dropped != 0
    assert 0.7 < kept.float().mean() < 0.9
    torch.testing.assert_close(dropped[kept], values[kept] / 0.8)
    torch.testing.assert_close(values.grad, kept * 3 / 0.8)
    assert layer.eval()(values) is values


def test_layers_are_swapped_and_come_back() -> None:
    model = nn.ModuleDict(
        {"a": nn.Dropout(0.1), "none": nn.Dropout(0.0), "all": nn.Dropout(1.0), "b": nn.Dropout(0.1, inplace=True)}
    ).train()
    own = dict(model)
    with fast_dropout(model):
        assert [name for name in own if model[name] is not own[name]] == ["a"]
        assert type(model["a"]) is Dropout and model["a"].p == 0.1 and model["a"].training
        model.eval()
        assert not model["a"].training
    assert all(model[name] is layer for name, layer in own.items())
    assert not model["a"].training
    with pytest.raises(KeyError, match="stop"), fast_dropout(model):
        raise KeyError("stop")
    assert model["a"] is own["a"]


def test_a_model_keeps_its_weights_names() -> None:
    model = tiny_gpt2(61)
    names = list(model.state_dict())
    with fast_dropout(model):
        assert list(model.state_dict()) == names
