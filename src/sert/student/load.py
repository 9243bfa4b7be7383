"""Loading of students: a hub id, a local folder, or the lab student that ships with the package."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.files import LARGEST_TEXT, check_file, read_whole
from sert.store.artifacts import content_key, file_hash
from sert.student.speed.memory import out_of_memory_means

if TYPE_CHECKING:
    import torch

LAB_STUDENT = Path(__file__).parent.parent / "lab" / "student"
_TEXT_SUFFIXES = (".json", ".txt", ".jinja", ".model")
_state_of = attrgetter("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model")


@dataclass(frozen=True)
class Texts:
    """A student's tokenizer: from tokens to text and back."""

    tokenizer: Any

    def encode_completion(self, completion: str) -> list[int]:
        """Tokenize what follows a prompt, without special tokens."""
        return list(self.tokenizer(completion, add_special_tokens=False, verbose=False)["input_ids"])

    def decode(self, token_ids: list[int] | tuple[int, ...]) -> str:
        """Turn tokens into text for people; special tokens stay visible."""
        return str(self.tokenizer.decode(token_ids, clean_up_tokenization_spaces=False))


@dataclass(frozen=True)
class Student(Texts):
    """A causal language model with its tokenizer, ready to decode.

    Attributes:
        model: Any `AutoModelForCausalLM`, in evaluation mode, on its device.
        name: How people call it.
        eos_ids: Tokens that end a text.
        max_positions: Longest prompt + completion, None when the model states no limit.
    """

    model: Any
    name: str
    eos_ids: tuple[int, ...]
    max_positions: int | None

    @property
    def device(self) -> "torch.device":
        """Where the model's weights are."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def end_of_text(self) -> int:
        """The token that is put behind texts: the tokenizer's own, else one of the model's."""
        own: int | None = self.tokenizer.eos_token_id
        return self.eos_ids[0] if own is None else own

    def encode_prompt(self, prompt: str) -> list[int]:
        """Tokenize a prompt, with the special tokens that the tokenizer puts in front and none that end it."""
        token_ids = list(self.tokenizer(prompt, verbose=False)["input_ids"])
        return token_ids[:-1] if len(token_ids) > 1 and token_ids[-1] in self.eos_ids else token_ids


def resolve_student(config: StudentConfig) -> str:
    """Turn the configured path into a folder or a hub id, and check a folder before anything is loaded.

    Raises:
        StudentError: If a local folder lacks the model or the tokenizer.
    """
    if config.path == "lab":
        return str(LAB_STUDENT)
    folder = Path(os.path.expanduser(config.path))
    if not os.path.exists(folder):
        looks_local = config.path.startswith((".", "/", "~")) or config.path.count("/") > 1
        if looks_local or not config.path:
            raise StudentError(f"There is no student folder {config.path!r}. Give a local folder, a hub id, or `lab`.")
        return config.path
    if not (folder / "config.json").is_file():
        raise StudentError(f"{folder} is no student: it has no config.json. Save the model with save_pretrained.")
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise StudentError(
            f"{folder} has no tokenizer (none of {', '.join(_TOKENIZER_FILES)}). "
            "Save the tokenizer into the same folder with tokenizer.save_pretrained."
        )
    if not any(folder.glob("*.safetensors")):
        raise StudentError(
            f"{folder} has no weights in safetensors form. Pickled checkpoints are not loaded: "
            "convert them with model.save_pretrained."
        )
    _check_files(folder)
    return str(folder)


def _check_files(folder: Path) -> None:
    """Refuse what would hang a reader, and an index that leads to weights elsewhere or in another form."""
    for file in folder.iterdir():
        if file.suffix == ".safetensors" or not file.is_dir():
            try:
                check_file(file, largest=LARGEST_TEXT if file.suffix in _TEXT_SUFFIXES else sys.maxsize)
            except OSError as error:
                raise StudentError(f"{file} cannot be read: {error}. A student's folder holds plain files.") from None
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        shards = set(json.loads(read_whole(index))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StudentError(f"{index} is no index of weights. Save the model with save_pretrained.") from None
    for shard in shards:
        if not isinstance(shard, str) or not shard.endswith(".safetensors") or Path(shard).name != shard:
            raise StudentError(f"{index} names {shard!r}; weights must be .safetensors files of the same folder.")


def student_key(config: StudentConfig) -> str:
    """Name the student's content: hashes of the files of a folder, id and revision of a hub model.

    Each file is hashed once a process, and again when it has changed.
    """
    resolved = resolve_student(config)
    identity: dict[str, Any] = {"dtype": config.dtype}
    folder = Path(resolved)
    if os.path.isdir(folder):
        names = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors", ".txt", ".model"))
        identity["files"] = {file.name: _hash_of(file, _state_of(file.stat())) for file in names}
    else:
        identity["hub"] = [resolved, config.revision]
    return content_key(identity)


@lru_cache(maxsize=1024)
def _hash_of(file: Path, state: tuple[int, ...]) -> str:
    return file_hash(file)


def load_texts(config: StudentConfig) -> Texts:
    """Load the tokenizer alone.

    Raises:
        StudentError: If it cannot be loaded.
    """
    resolved = resolve_student(config)
    from transformers import AutoTokenizer

    with _loading(config):
        return Texts(AutoTokenizer.from_pretrained(resolved, **_source(config)))


def load_student(config: StudentConfig, *, worker: int = 0) -> Student:
    """Load model and tokenizer; only safetensors weights, never remote code.

    Where there are several accelerators, each worker (of several processes) takes another.

    Raises:
        StudentError: If the student cannot be loaded, with what was tried and how to mend it.
    """
    resolved = resolve_student(config)
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # its bars for each file read or written would tear our own
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    texts = load_texts(config)
    with _loading(config):
        model, loading = AutoModelForCausalLM.from_pretrained(
            resolved,
            dtype=getattr(torch, config.dtype) if config.dtype in ("bfloat16", "float16") else torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **_source(config),
        )
    if loading["missing_keys"]:
        missing = ", ".join(sorted(loading["missing_keys"])[:3])
        raise StudentError(f"The weights of {config.path!r} are incomplete: {missing} and so on would be random.")
    try:
        with out_of_memory_means(f"The memory of {config.device!r} does not hold {config.path!r}."):
            model = model.to(_device(config.device, worker))
    except (RuntimeError, AssertionError) as error:
        raise StudentError(f"The device {config.device!r} cannot be used here: {error} Use auto or cpu.") from None
    if config.dtype in ("int8", "bfloat16", "bfloat16x3"):
        from sert.student.speed import quantized

        into = {
            "int8": quantized.quantize_student,
            "bfloat16": quantized.multiply_in_bfloat16,
            "bfloat16x3": quantized.multiply_in_parts,
        }
        into[config.dtype](model)
    return make_student(model, texts.tokenizer, name=config.path)


def _source(config: StudentConfig) -> dict[str, Any]:
    return {"revision": config.revision, "trust_remote_code": False}


@contextmanager
def _loading(config: StudentConfig) -> Iterator[None]:
    """Turn what goes wrong with the files of a student into one clear error."""
    try:
        yield
    except Exception as error:  # what a broken config or tokenizer makes the library raise is not documented
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StudentError(
            f"The student {config.path!r} cannot be loaded: {reason} "
            "Give a folder with config.json, safetensors weights and a tokenizer, or a hub id that can be reached."
        ) from None


def make_student(model: Any, tokenizer: Any, *, name: str) -> Student:
    """Wrap a model and its tokenizer.

    Raises:
        StudentError: If they do not fit together or state no end-of-text token.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if max(len(tokenizer), 1 + max(tokenizer.get_vocab().values(), default=0)) > rows:
        raise StudentError(
            f"The tokenizer of {name!r} has {len(tokenizer)} entries, some of them beyond the {rows} of the model: "
            "they do not belong together."
        )
    eos = model.generation_config.eos_token_id
    eos_ids = {tokenizer.eos_token_id, *(eos if isinstance(eos, list) else [eos])} - {None}
    if not eos_ids:
        raise StudentError(f"Neither the tokenizer nor the model of {name!r} states an end-of-text token.")
    max_positions = getattr(model.config, "max_position_embeddings", None)
    return Student(tokenizer, model.eval(), name, tuple(sorted(eos_ids)), max_positions)


def _device(name: str, worker: int) -> "torch.device":
    import torch

    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is not None and worker:
            return torch.device(accelerator.type, worker % torch.accelerator.device_count())
        return accelerator if accelerator is not None else torch.device("cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise StudentError(f"There is no device {name!r}; use auto, cpu, cuda or cuda:1.") from None
