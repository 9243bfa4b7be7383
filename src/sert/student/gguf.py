"""GGUF files, llama.cpp's form of a model: converted once to a folder that transformers reads, in the user's cache.

The folder is of the file's content and of the versions of what reads it, wherever the file lies, and is there whole or
not at all. Blocks of quantized weights are unpacked to float32, so nothing is lost and nothing is won back.
"""

import copy
import io
import shutil
import tempfile
from contextlib import redirect_stderr
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sert.errors import StudentError
from sert.files import user_cache
from sert.store.artifacts import content_key
from sert.store.disk import whole_folder
from sert.store.lock import waited_lock
from sert.student.gguf_settings import MEND, GgufHeader, header_of, put_right, split_as_named, value_of
from sert.student.soundness import check_complete
from sert.student.weights import hash_of, num_weights_in

FORM = 2
"""Counts up when what is written changes; a part of the key."""
_MAGIC, _BYTES = b"GGUF", 4
_NAME = "student.gguf"
_ENDS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
"""Tokens that end a text, a turn and a message."""


def is_gguf(file: Path) -> bool:
    """Tell by its first bytes whether a file is a GGUF."""
    with file.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def check_gguf(file: Path) -> None:
    """Check what can be checked before a conversion.

    Raises:
        StudentError: If the package that reads it is missing, or it is one of several parts.
    """
    if find_spec("gguf") is None:
        raise StudentError(f"{file} is a GGUF file, which needs the package gguf: pip install 'sert[gguf]'.")


def num_weights_of_gguf(file: Path) -> int:
    """Count the weights.

    Raises:
        StudentError: If the file is cut off or broken.
    """
    folder = cached(file)
    if folder.is_dir():
        return num_weights_in(sorted(folder.glob("*.safetensors")))
    return _num_weights(_read(file))


def chat_template_of_gguf(file: Path) -> str | None:
    """Read the chat template.

    Raises:
        StudentError: If the file is cut off or broken.
    """
    return _chat_template(hash_of(file), file)


@lru_cache
def _chat_template(content: str, file: Path) -> str | None:
    template = value_of(_read(file), "tokenizer.chat_template")
    return None if template is None else str(template)


def tokenizer_of_gguf(file: Path) -> Any:
    """Load the tokenizer alone, without a conversion.

    Raises:
        StudentError: If the file is broken, or of an architecture or a tokenizer that is not read faithfully.
    """
    reader = _read(file)
    with tempfile.TemporaryDirectory() as alone:  # where no other file has a say
        (Path(alone) / _NAME).symlink_to(file.absolute())
        return _tokenizer(alone, header_of(file, reader), reader)


def _tokenizer(alone: str, header: GgufHeader, reader: Any) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file=_NAME)
    model, pre = (value_of(reader, f"tokenizer.ggml.{name}") for name in ("model", "pre"))
    split_as_named(tokenizer, header, model=model, pre=pre)
    return tokenizer


def is_converted(file: Path) -> bool:
    """Tell whether the folder that a file is converted to is there."""
    return cached(file).is_dir()


def converted(file: Path) -> Path:
    """Convert a file to a folder with configuration, weights and tokenizer, or return the one that is there.

    Several processes may ask at once: one converts, the others wait.

    Raises:
        StudentError: If the file is broken, or is of an architecture that transformers does not convert faithfully.
        DiskFullError: If there is no room.
    """
    folder = cached(file)
    if folder.is_dir():
        return folder
    with waited_lock(folder.parent):
        if not folder.is_dir():
            for left in folder.parent.glob(".[0-9a-f]*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            reader = _read(file)
            size, unseen = _BYTES * _num_weights(reader), io.StringIO()
            # The library's progress bars would tear our own.
            with whole_folder(folder, size) as scratch, redirect_stderr(unseen):
                _convert(file.absolute(), scratch, reader=reader)
    return folder


def is_conversion(path: str) -> bool:
    """Tell whether a path, which may lead to nothing any more, is that of a conversion."""
    return Path(path).parent == cache()


def cached(file: Path) -> Path:
    """Name the folder of a file's conversion, which is there or not."""
    made_by = [FORM, version("transformers"), version("gguf")]
    return cache() / f"{hash_of(file)[:16]}-{content_key(made_by)}"


def cache() -> Path:
    """Name the folder of all conversions."""
    return user_cache("gguf")


def _read(file: Path) -> Any:
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
    except Exception as error:  # what its reader raises of a broken file is not documented
        raise StudentError(f"{file} is cut off or no GGUF file: {error}. Get it again.") from None
    parts = value_of(reader, "split.count")
    if parts is not None and parts > 1:
        raise StudentError(
            f"{file} is one of {parts} parts. Join them with llama.cpp: llama-gguf-split --merge FIRST-PART OUT.gguf"
        )
    return reader


def _num_weights(reader: Any) -> int:
    return sum(int(tensor.n_elements) for tensor in reader.tensors)


def _convert(file: Path, folder: Path, *, reader: Any) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig, LlamaConfig

    header = header_of(file, reader)
    with tempfile.TemporaryDirectory() as alone:  # where no other file has a say
        (Path(alone) / _NAME).symlink_to(file)
        config = AutoConfig.from_pretrained(alone, gguf_file=_NAME)
        if config.model_type == "mistral":  # by the name that a llama has; its reader knows none of these weights then
            config = LlamaConfig.from_dict({**config.to_dict(), "model_type": "llama"})
        put_right(config, header, frequencies=_frequencies(reader))
        tokenizer = _tokenizer(alone, header, reader)
        packed, loading = AutoModelForCausalLM.from_pretrained(
            alone,
            config=config,
            gguf_file=_NAME,
            dtype="float32",
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
    check_complete(loading, name=str(file))
    _check_all_read(packed, header, reader)
    ends = {value_of(reader, name) for name in _ENDS} - {None}
    if ends and ends != {packed.generation_config.eos_token_id}:
        packed.generation_config.eos_token_id = sorted(map(int, ends))
    _save(packed, folder)
    tokenizer.save_pretrained(folder)


def _save(packed: Any, folder: Path) -> None:
    """Save a model that knows where it came from, and therefore cannot be saved: as one that has no weights itself."""
    import torch

    with torch.device("meta"):
        model = type(packed)(copy.deepcopy(packed.config))
    model.generation_config = packed.generation_config
    model.save_pretrained(folder, state_dict=packed.state_dict())


def _frequencies(reader: Any) -> Any:
    """Take what the frequencies of rotary positions are divided by, where a file has such tensors."""
    import numpy as np

    scales = [tensor.data.flatten() for tensor in reader.tensors if _is_of_frequencies(tensor)]
    return np.concatenate(scales) if scales else None


def _is_of_frequencies(tensor: Any) -> bool:
    return str(tensor.name).startswith("rope_f")


def _check_all_read(model: Any, header: GgufHeader, reader: Any) -> None:
    """Refuse a student of whose weights transformers' reader left some out, which it does without a word."""
    there = sum(int(tensor.n_elements) for tensor in reader.tensors if not _is_of_frequencies(tensor))
    read = sum(weight.numel() for weight in model.parameters())
    if there != read:
        raise StudentError(
            f"{header.file} holds {there:,} weights, and a {type(model).__name__} of its settings {read:,}: "
            f"transformers' reader of GGUF leaves some out. {MEND}"
        )
