"""Adapters (LoRA and its kin, saved by `peft`): merged into their base model when they are loaded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sert.errors import StudentError


def merged(base: Any, folder: str) -> Any:
    """Merge the adapter of a folder into its base model, which is changed.

    Raises:
        StudentError: If it is of a kind that does not change weights.
        ValueError, RuntimeError, UserWarning: If it does not fit its base.
    """
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(folder)
    if config.is_prompt_learning:
        raise StudentError(
            f"The adapter {folder} is of the kind {config.peft_type.value}: it puts learned prompts in front and "
            "cannot be merged into weights. Those of LoRA and its kin can."
        )
    with quiet_peft():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        adapted = PeftModel.from_pretrained(base, folder, torch_device=str(base.device))
    return adapted.merge_and_unload()


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Pass over what peft makes transformers warn of: it asks for `is_gradient_checkpointing`, now called otherwise."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
