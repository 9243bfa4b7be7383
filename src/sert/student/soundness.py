"""Whether a student that was loaded is what it claims: complete, finite, causal, and of one vocabulary."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sert.config.tree import StudentConfig
from sert.errors import StudentError

if TYPE_CHECKING:
    from torch import Tensor

LIKELY = 20
"""Tokens of the largest probabilities, whose log-probabilities are compared."""
SENTENCE = "The lamp stands on the table beside the open door."
"""What a student reads to show that it does not look ahead."""
RESIZE = (
    "Enlarge its embeddings with model.resize_token_embeddings(len(tokenizer)) and save model and tokenizer into one "
    "folder; or give the tokenizer that the model came with."
)
_WRAPPED = {
    "_orig_mod.": "a compiled model: save model._orig_mod instead",
    "module.": "a wrapped model: save model.module instead",
    "base_model.model.": "a model with an adapter that is not merged: save model.merge_and_unload() instead",
}
_FARTHEST = 0.02
"""Nats that the rounding of float32 never comes to."""
_READ, _TOLD = 12, 3


def check_complete(loading: Mapping[str, Any], *, name: str) -> None:
    """Refuse a model of which a part would be random.

    Args:
        loading: What transformers says of loading it.
        name: How people call it.

    Raises:
        StudentError: If a weight is missing.
    """
    if not loading["missing_keys"]:
        return
    missing = ", ".join(sorted(loading["missing_keys"])[:_TOLD])
    found = list(loading["unexpected_keys"])
    hints = [hint for start, hint in _WRAPPED.items() if found and all(key.startswith(start) for key in found)]
    raise StudentError(
        f"The weights of {name!r} are incomplete: {missing} and so on would be random."
        + "".join(f" The file is of {hint}." for hint in hints)
    )


def check_finite(model: Any, config: StudentConfig) -> None:
    """Refuse weights that are no numbers, before anything is decoded or trained.

    Raises:
        StudentError: If a weight is NaN or infinite.
    """
    import torch

    wrong = []
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and weight.numel():
            least, most = torch.aminmax(weight.detach())  # both are NaN where one is
            if not bool(torch.isfinite(least) & torch.isfinite(most)):
                wrong.append(name)
    if wrong:
        told = ", ".join(wrong[:_TOLD]) + (f" and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else "")
        mend = (
            "Use student.dtype = 'float32' or 'bfloat16': float16 holds nothing above 65,504."
            if config.dtype == "float16"
            else "The file is damaged, or it was merged or saved with an overflow; get it again or make it in float32."
        )
        raise StudentError(f"{config.path!r} has weights that are NaN or infinite: {told}. {mend}")


def check_vocabulary(tokenizer: Any, rows: int, *, name: str) -> frozenset[int]:
    """Compare a tokenizer with the number of its model's embeddings, which may be more.

    Returns:
        Special tokens beyond the embeddings, such as a `[PAD]` that was added and is in no text.

    Raises:
        StudentError: If other tokens are beyond them, or the one that ends texts.
    """
    beyond = {token: each for each, token in tokenizer.get_vocab().items() if token >= rows}
    added = tokenizer.added_tokens_decoder
    if all(token in added and added[token].special and token != tokenizer.eos_token_id for token in beyond):
        return frozenset(beyond)
    if beyond.keys() <= added.keys():
        told = ", ".join(map(repr, [beyond[token] for token in sorted(beyond)][:_TOLD]))
        raise StudentError(
            f"The tokenizer of {name!r} has {len(beyond)} added tokens ({told}) beyond the {rows:,} embeddings of the "
            f"model. {RESIZE}"
        )
    raise StudentError(
        f"The tokenizer of {name!r} has {len(tokenizer):,} entries, some of them beyond the {rows:,} of the model: "
        "they do not belong together. Save model and tokenizer of one student into one folder."
    )


def check_causal(model: Any, token_ids: Sequence[int], *, name: str) -> None:
    """Refuse a student whose probabilities of the next token depend on tokens behind it.

    Args:
        model: A model in float32.
        token_ids: A text of some tokens.
        name: How people call it.

    Raises:
        StudentError: If the end of the text changes what is said within it.
    """
    import torch

    if len(token_ids) < 2:
        return
    whole = torch.tensor([token_ids[:_READ]], device=model.device)
    half = whole[:, : whole.shape[1] // 2]
    with torch.inference_mode():
        logits = [model(input_ids=ids, use_cache=False).logits[0, : half.shape[1]] for ids in (whole, half)]
    seeing, alone = (each.float().log_softmax(dim=-1) for each in logits)
    farthest = float(likely_differences(alone, seeing).max())
    if farthest > _FARTHEST:
        raise StudentError(
            f"{name!r} looks ahead: what comes later moves its log-probabilities by {farthest:.2g} nats. It is no "
            "causal language model (an encoder such as BERT, or is_decoder is not set in its config.json)."
        )


def likely_differences(expected_NV: "Tensor", found_NV: "Tensor") -> "Tensor":
    """Compare log-probabilities of N places and V tokens: how far those of the K tokens lie that are likely, (N, K)."""
    likely_NK = expected_NV.topk(min(LIKELY, expected_NV.shape[-1]), dim=-1).indices
    return (found_NV.gather(-1, likely_NK) - expected_NV.gather(-1, likely_NK)).abs()
