"""What a student's path leads to: a folder, a GGUF file, an adapter, or an id of the hub; and what is wrong with it.

Nothing is loaded here, so that a dry run says what a run would.
"""

import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.files import LARGEST_TEXT, check_file, read_whole
from sert.student.gguf import check_gguf, is_conversion, is_gguf, num_weights_of_gguf
from sert.student.weights import check_content, num_weights_in, shapes_in

LAB_STUDENT = Path(__file__).parent.parent / "lab" / "student"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model")
_READ = {
    *("config.json", "generation_config.json", _WEIGHTS, _INDEX, *_TOKENIZER_FILES, "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "merges.txt", "vocab.txt"),
    *(ADAPTER_CONFIG, ADAPTER_WEIGHTS),
}
"""Files that loading reads, where they are there."""
_TEXT_SUFFIXES = (".json", ".txt", ".jinja", ".model")
_KEYED_SUFFIXES = (".json", ".safetensors", ".txt", ".model", ".jinja")
_TEMPLATES = "additional_chat_templates"
_EMBEDDINGS = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|embed_in)\.weight$")
_POSITIONS = re.compile(r"(^|\.)wpe\.weight$")
_TOLD, _DEEPEST = 5, 8
"""Names of a list that are told."""


class _TooDeepError(StudentError):
    """Adapters of adapters without an end."""


@dataclass(frozen=True)
class Place:
    """Where a student is.

    Attributes:
        kind: What is there.
        path: The folder, the file, or the hub's id.
        revision: Of a hub's id.
        base: The student that an adapter belongs to.
    """

    kind: Literal["hub", "folder", "gguf", "adapter"]
    path: str
    revision: str | None = None
    base: "Place | None" = None


def find_student(config: StudentConfig, *, depth: int = 0) -> Place:
    """Find what the configured path leads to, and check it as far as that goes without loading anything.

    Args:
        config: The student.
        depth: How many adapters lead to it.

    Raises:
        StudentError: If it is no student, with what it is and the way to make it one.
    """
    if config.path == "lab":
        return Place("folder", str(LAB_STUDENT))
    path = Path(os.path.expanduser(config.path))
    if not os.path.exists(path):
        looks_local = config.path.startswith((".", "/", "~")) or config.path.count("/") > 1
        if looks_local or not config.path or path.suffix == ".gguf":
            raise StudentError(
                f"There is no student folder {config.path!r}. Give a local folder, a .gguf file, a hub id, or `lab`."
            )
        return Place("hub", config.path, config.revision)
    return _at_folder(path, depth) if path.is_dir() else _at_file(path)


def count_weights(place: Place) -> int | None:
    """Count a student's weights by the headers of its files, an adapter's not included; None for the hub's.

    Raises:
        StudentError: As `check_claims` does, and if a GGUF is cut off.
    """
    check_claims(place)
    if place.kind == "folder":
        return num_weights_in(weight_files(Path(place.path)))
    if place.kind == "gguf":
        return num_weights_of_gguf(Path(place.path))
    return count_weights(place.base) if place.base is not None else None


def check_claims(place: Place) -> None:
    """Check what a student's files claim of themselves, in their first bytes: nothing is loaded.

    Raises:
        StudentError: If weights are cut off, or the configuration says another vocabulary or other positions.
    """
    if place.base is not None:
        check_claims(place.base)
        shapes_in(Path(place.path) / ADAPTER_WEIGHTS)
    elif place.kind == "folder":
        _compare(Path(place.path), weight_files(Path(place.path)))


def keyed_files(folder: Path) -> list[Path]:
    """List the files that the student in a folder depends on."""
    files = [file for file in folder.iterdir() if file.suffix in _KEYED_SUFFIXES and file.is_file()]
    return sorted([*files, *folder.glob(f"{_TEMPLATES}/*.jinja")])


def has_tokenizer(folder: Path) -> bool:
    """Tell whether a tokenizer was saved in a folder."""
    return any((folder / name).is_file() for name in _TOKENIZER_FILES)


def read_json(file: Path) -> dict[str, Any]:
    """Read one of a student's files of settings.

    Raises:
        StudentError: If it holds none.
    """
    try:
        content = json.loads(read_whole(file))
    except (OSError, ValueError, RecursionError) as error:
        raise StudentError(f"{file} cannot be read: {error}. Save the student with save_pretrained.") from None
    if not isinstance(content, dict):
        raise StudentError(f"{file} holds no settings. Save the student with save_pretrained.")
    return content


def _at_file(path: Path) -> Place:
    try:
        check_file(path, largest=sys.maxsize)
    except OSError as error:
        raise StudentError(f"{path} is no student: {error}.") from None
    check_content(path)
    if not is_gguf(path):
        raise StudentError(f"{path} is no student, but a single file. Give its folder, {path.parent}, or a .gguf file.")
    check_gguf(path)
    return Place("gguf", str(path))


def _at_folder(folder: Path, depth: int) -> Place:
    has_config, is_whole = os.path.lexists(folder / "config.json"), any(folder.glob("*.safetensors"))
    if os.path.lexists(folder / ADAPTER_CONFIG):
        _check_files(folder)
        return _adapter(folder, depth)
    ggufs = sorted(file for file in folder.glob("*.gguf") if not file.name.startswith("mmproj"))
    if ggufs and not (has_config and is_whole):
        if len(ggufs) > 1:
            raise StudentError(f"{folder} holds several students: {_listed(ggufs)}. Give one of the files.")
        return _at_file(ggufs[0])
    if not has_config:
        raise StudentError(f"{folder} is no student: it has no config.json. {_hint(folder)}")
    _check_files(folder)
    if not has_tokenizer(folder):
        raise StudentError(
            f"{folder} has no tokenizer (none of {', '.join(_TOKENIZER_FILES)}). "
            "Save the tokenizer into the same folder with tokenizer.save_pretrained."
        )
    if not is_whole:
        raise StudentError(
            f"{folder} has no weights in safetensors form. Pickled checkpoints are not loaded: "
            "convert them with model.save_pretrained."
        )
    weight_files(folder)
    return Place("folder", str(folder))


def _hint(folder: Path) -> str:
    """Say what a folder without a model seems to be."""
    nested = {file.parent for name in ("config.json", ADAPTER_CONFIG) for file in folder.glob(f"*/{name}")}
    nested = nested or {file.parent for file in folder.glob("snapshots/*/config.json")}
    if nested:
        return f"There are students in it: {_listed(sorted(nested, key=_numbered))}. Give the folder of one."
    if (folder / ADAPTER_WEIGHTS).is_file():
        return f"It seems to be an adapter without its {ADAPTER_CONFIG}. Save it with save_pretrained of peft."
    return "Save the model with save_pretrained."


def _numbered(folder: Path) -> list[tuple[int, str]]:
    """Sort checkpoint-1000 behind checkpoint-500."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", folder.name)]


def _listed(paths: Iterable[Path]) -> str:
    """Name the last ones of some files or folders."""
    names = list(map(str, paths))
    return ", ".join(names[-_TOLD:]) + (f" (and {len(names) - _TOLD} more)" if len(names) > _TOLD else "")


def _adapter(folder: Path, depth: int) -> Place:
    settings = read_json(folder / ADAPTER_CONFIG)
    named = settings.get("base_model_name_or_path")
    if any(file.name != ADAPTER_WEIGHTS for file in folder.glob("*.safetensors")):
        raise StudentError(
            f"{folder} holds an adapter ({ADAPTER_CONFIG}) and a whole model, and it cannot be told which is meant. "
            f"Give the adapter a folder of its own; if it is merged into the model already, remove {ADAPTER_CONFIG}."
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        pickled = " Pickled ones are not loaded." if any(folder.glob("adapter_model.bin")) else ""
        raise StudentError(f"The adapter {folder} has no {ADAPTER_WEIGHTS}.{pickled} Save it with save_pretrained.")
    if not isinstance(named, str) or not named:
        raise StudentError(
            f"The adapter {folder} names no base model: set base_model_name_or_path in {ADAPTER_CONFIG}."
        )
    if find_spec("peft") is None:
        raise StudentError(
            f"{folder} is an adapter of {named!r}. Adapters need the package peft: pip install 'sert[lora]'. Or merge "
            "it elsewhere (peft's merge_and_unload), save the whole model and its tokenizer, and give that folder."
        )
    return Place("adapter", str(folder), base=_base(folder, named, revision=settings.get("revision"), depth=depth))


def _base(folder: Path, named: str, *, revision: Any, depth: int) -> Place:
    if depth == _DEEPEST:
        raise _TooDeepError(f"{folder} is an adapter of an adapter, more than {_DEEPEST} times; merge some of them.")
    path = str(folder / named) if os.path.exists(folder / named) else named  # wherever the command is given
    try:
        return find_student(StudentConfig(path=path, revision=revision), depth=depth + 1)
    except _TooDeepError:
        raise
    except (StudentError, ValueError) as error:
        mend = "Get that model"
        if is_conversion(path):
            mend = "It was made of a GGUF file. Make it again (sert doctor --student FILE.gguf)"
        raise StudentError(
            f"{folder} is an adapter of {named!r}, which cannot be had: {error} {mend}, or correct "
            f"base_model_name_or_path in {ADAPTER_CONFIG}."
        ) from None


def _check_files(folder: Path) -> None:
    """Refuse what would hang a reader, what is not there, and what Git left in the place of a file."""
    for file in folder.iterdir():
        is_read = file.name in _READ
        if file.is_dir() and file.suffix != ".safetensors":
            continue
        if not is_read and not os.path.exists(file):  # a link to nothing, which nobody follows
            continue
        try:
            check_file(file, largest=LARGEST_TEXT if file.suffix in _TEXT_SUFFIXES else sys.maxsize)
        except FileNotFoundError:
            raise StudentError(f"{file} is a link to a file that is not there. Get the file itself.") from None
        except OSError as error:
            raise StudentError(f"{file} cannot be read: {error}. A student's folder holds plain files.") from None
        if is_read or file.suffix == ".safetensors":
            check_content(file)


def weight_files(folder: Path) -> list[Path]:
    """List the files of weights that transformers reads.

    Raises:
        StudentError: If the index leads elsewhere, to pickles or to nothing; or if the files have other names.
    """
    files = _shards(folder / _INDEX) if (folder / _INDEX).is_file() else []
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if not files:
        others = _listed(sorted(folder.glob("*.safetensors")))
        raise StudentError(
            f"{folder} has neither {_WEIGHTS} nor {_INDEX}, but {others}: a part of a model's files, or files of "
            "another form. Get all files of the model, or save it again with save_pretrained."
        )
    if missing := [file for file in files if not file.is_file()]:
        raise StudentError(
            f"{folder} lacks {len(missing)} of the {len(files)} files of its weights: {_listed(missing)}. Get them too."
        )
    return files


def _shards(index: Path) -> list[Path]:
    try:
        shards = sorted(set(read_json(index)["weight_map"].values()))
    except (KeyError, TypeError, AttributeError):
        raise StudentError(f"{index} is no index of weights. Save the model with save_pretrained.") from None
    for shard in shards:
        if not isinstance(shard, str) or not shard.endswith(".safetensors") or Path(shard).name != shard:
            raise StudentError(f"{index} names {shard!r}; weights must be .safetensors files of the same folder.")
    return [index.parent / shard for shard in shards]


def _compare(folder: Path, files: list[Path]) -> None:
    """Compare what the configuration claims with the shapes of the weights."""
    settings = read_json(folder / "config.json")
    text = settings.get("text_config")
    claimed = {**settings, **text} if isinstance(text, dict) else settings
    positions = "n_positions" if "n_positions" in claimed else "max_position_embeddings"
    for file in files:
        for name, shape in shapes_in(file).items():
            for setting, pattern in (("vocab_size", _EMBEDDINGS), (positions, _POSITIONS)):
                said = claimed.get(setting)
                if pattern.search(name) and len(shape) == 2 and said is not None and said != shape[0]:
                    raise StudentError(
                        f"{folder}: config.json says {setting} = {said!r}, and the weights have {shape[0]:,} rows "
                        f"({name}). One of them is of another model; take both from one place, or, if the weights "
                        f"are right, set {setting} = {shape[0]} in config.json."
                    )
