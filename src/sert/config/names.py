"""What a key that does not exist was probably meant to be: a name of the same section, or of another."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from sert.config.section import Section

CLOSE, VERY_CLOSE = 0.6, 0.8

# What other tools call these settings.
_FOREIGN = {
    "lr": "training.learning_rate",
    "num_train_epochs": "training.epochs",
    "num_epochs": "training.epochs",
    "per_device_train_batch_size": "training.batch_size",
    "train_batch_size": "training.batch_size",
    "mini_batch_size": "training.micro_batch_size",
    "lr_scheduler_type": "training.schedule",
    "max_seq_length": "training.max_length",
    "gradient_clipping": "training.max_grad_norm",
    "clip_grad": "training.max_grad_norm",
    "betas": "training.adam_betas",
    "bf16": "training.autocast",
    "model_name_or_path": "student.path",
    "torch_dtype": "student.dtype",
    "precision": "student.dtype",
    "num_return_sequences": "mining.samples",
    "nucleus": "mining.top_p",
    "repetition_penalty": "rules.max_rep_2",
    "min_length": "rules.min_tokens",
    "api_key": "calls.api_key_env",
    "base_url": "endpoint.url",
    "budget": "calls.max_cost",
    "rpm": "calls.requests_per_minute",
    "tpm": "calls.tokens_per_minute",
    "dataset": "tasks.<name>.data",
    "random_seed": "seed",
}


def section_in(annotation: Any) -> type[Section] | None:
    """Find the section that a field holds, whether it may be left out or not."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


def suggest(root: type[Section], section: type[Section], name: str) -> list[str]:
    """Name what was probably meant: keys of the same section by themselves, others with their whole path."""
    own = sorted(section.model_fields)
    elsewhere = sorted(set(_all_keys(root)) - set(own if section is root else ()))
    same = [key for key in own if _fold(key) == _fold(name)]
    if same:
        return same
    if known := _foreign(name, own, elsewhere):
        return known
    very_close = _closest(name, own, VERY_CLOSE)
    moved = [key for key in elsewhere if _fold(_leaf(key)) == _fold(name)]
    return very_close or moved[:2] or _closest(name, own, CLOSE) or _closest(name, elsewhere, VERY_CLOSE)


def _foreign(name: str, own: Sequence[str], elsewhere: Sequence[str]) -> list[str]:
    target = _FOREIGN.get(name.lower().replace("-", "_"))
    if target is None:
        return []
    if _leaf(target) in own:
        return [_leaf(target)]
    return [key for key in elsewhere if key == target or key.endswith(f".{target}")][:2]


def _all_keys(section: type[Section], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        inner = section_in(field.annotation)
        if inner is not None:
            of_any = "<name>." if get_origin(field.annotation) is dict else ""
            yield from _all_keys(inner, f"{prefix}{name}.{of_any}")


def _closest(name: str, keys: Sequence[str], least: float) -> list[str]:
    """Find the key whose own name is nearest."""
    leaves = {_fold(_leaf(key)): key for key in reversed(keys)}
    found = difflib.get_close_matches(_fold(name), leaves, n=1, cutoff=least)
    return [leaves[each] for each in found]


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _fold(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
