"""What is wrong with a configuration: which key, where it was given, and what was probably meant."""

import difflib
import functools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import ValidationError

from sert.config.section import Section, section_in, settings_of
from sert.terminal.text import cut, shorten

Key = tuple[str, ...]
shown = functools.partial(shorten, most=200)
"""What was given, as messages about a configuration show it."""

_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")
_END = " (at end of document)"
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
    "report_to": "report.tracker",
}


class Places:
    """Finds the place of a key, or of the nearest section around it that was given."""

    def __init__(self, text: str = "", overrides: Iterable[Key] = ()) -> None:
        """Take a file's text and the keys that `--set` gave after it."""
        self._lines: dict[Key, int] = {}
        for number, key in _statements(text):
            for length in range(1, len(key) + 1):
                self._lines.setdefault(key[:length], number)
        self._overrides = list(overrides)

    def given(self, overrides: Iterable[Key]) -> "Places":
        """Tell of keys that `--set` gave as well."""
        found = Places(overrides=overrides)
        found._lines = self._lines
        return found

    def moved(self, parts: Mapping[Key, Key]) -> "Places":
        """Tell of parts of the file that stand elsewhere in what is checked: from -> to; of two the last one counts."""
        found = Places(overrides=self._overrides)
        for part, place in parts.items():
            for key, number in self._lines.items():
                if key[: len(part)] == part and (where := (*place, *key[len(part) :])):
                    found._lines[where] = number
        return found

    def of(self, key: Sequence[str]) -> str:
        """Say where a key was given, as `line 3: ` or `--set a.b: `; nothing if that is not known."""
        for length in range(len(key), 0, -1):
            part = tuple(key[:length])
            if part in self._overrides:
                return f"--set {'.'.join(part)}: "
            if part in self._lines:
                return f"line {self._lines[part]}: "
            if any(override[:length] == part for override in self._overrides):  # it was given with a key inside it
                return f"--set {'.'.join(part)}: "
        return ""


def explain_syntax(text: str, error: tomllib.TOMLDecodeError) -> str:
    """Say at which line a text is no TOML, what stands there, and which key it is about."""
    found = _PLACE.search(str(error))
    if found is None:
        return str(error).removesuffix(_END) + " at the end of the file"
    number = int(found[1])
    line = cut(text.split("\n")[number - 1].strip(), most=60)
    keys = [".".join(key) for at, key in _statements(text) if at == number]
    about = f" for the key {keys[-1]!r}" if keys else ""
    return f"line {number}: {str(error)[: found.start()]}{about}, in {line!r}"


def explain_problems(section: type[Section], error: ValidationError, places: Places) -> Iterator[str]:
    """Write one line a key; what several alternatives of its type say is joined."""
    heads: dict[Key, str] = {}
    says: dict[Key, list[str]] = {}
    problems = error.errors()
    for each in problems:
        problem = dict(each)
        # What is wrong inside a list does not count towards its length.
        if each["type"] == "too_short" and any(each["loc"] == other["loc"][:-1] for other in problems):
            continue
        place = _place_of(section, each["loc"])
        heads.setdefault(place.key, _head(place, problem))
        says.setdefault(place.key, []).append(_says(section, place, problem))
    for key, head in heads.items():
        yield f"{places.of(key)}{head}{' or '.join(says[key])}"


class _Place(NamedTuple):
    """Where a problem is.

    Attributes:
        around: The section that the key is in.
        itself: The section that the key stands for, if it is one.
        is_name: Whether the name that the user gave (of a task) is the problem.
    """

    key: Key
    around: type[Section]
    itself: type[Section] | None
    is_name: bool


def _place_of(section: type[Section], location: Sequence[str | int]) -> _Place:
    """Follow a location down the sections; a part that names an alternative of a type is no part of the key."""
    annotation: Any = section
    around, key, is_name = section, list[str](), False
    for part in location:
        inner = _section_of(annotation)
        if part == "[key]":
            is_name = True
        elif get_origin(annotation) is dict:
            key.append(str(part))
            annotation = get_args(annotation)[-1]
        elif isinstance(part, int):
            key.append(str(part))
            annotation = None
        elif inner is not None:
            around = inner
            key.append(part)
            annotation = inner.model_fields[part].annotation if part in inner.model_fields else None
    return _Place(tuple(key), around, _section_of(annotation), is_name)


def _section_of(annotation: Any) -> type[Section] | None:
    return None if get_origin(annotation) is dict else section_in(annotation)


def _head(place: _Place, problem: Mapping[str, Any]) -> str:
    key = ".".join(place.key)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    # What was given for api_key_env may be the key itself.
    if problem["type"] == "missing" or place.is_name or place.key[-1:] == ("api_key_env",):
        return f"{key!r} "
    return f"{key!r} = {shown(problem['input'])}: "


def _says(root: type[Section], place: _Place, problem: Mapping[str, Any]) -> str:
    kind, message = problem["type"], str(problem["msg"])
    if kind == "extra_forbidden":
        nearest = _suggest(root, place.around, place.key[-1])
        named = " or ".join(map(repr, nearest))
        return f"; did you mean {named}?" if nearest else f"; allowed: {', '.join(sorted(place.around.model_fields))}"
    if kind == "missing":
        return "is missing"
    if place.is_name:
        return (
            f"is no name: a-z, 0-9, _ and - are allowed, at most 64, the first a letter or a digit ({message.lower()})"
        )
    if place.key[-1:] == ("api_key_env",):
        return "must be the name of an environment variable, in capitals, such as OPENAI_API_KEY; not a key"
    if place.itself is not None and kind == "model_type":
        return f"this is a section, a table with the keys {', '.join(sorted(place.itself.model_fields))}"
    message = message[0].lower() + message[1:]
    return (
        message.replace("tuple, list", "list")
        .replace("tuple", "list")
        .replace("dictionary", "table")
        .removeprefix("value error, ")
    )


def _suggest(root: type[Section], section: type[Section], name: str) -> list[str]:
    """Name what was probably meant: keys of the same section by themselves, others with their whole path."""
    own = sorted(section.model_fields)
    elsewhere = sorted({each.path for each in settings_of(root)} - set(own if section is root else ()))
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


def _closest(name: str, keys: Sequence[str], least: float) -> list[str]:
    """Find the key whose own name is nearest."""
    leaves = {_fold(_leaf(key)): key for key in reversed(keys)}
    found = difflib.get_close_matches(_fold(name), leaves, n=1, cutoff=least)
    return [leaves[each] for each in found]


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _fold(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _statements(text: str) -> Iterator[tuple[int, Key]]:
    """Find the lines that open a table or give a key; what stands inside a text of several lines is passed over."""
    table: Key = ()
    inside = ""
    for number, line in enumerate(text.split("\n"), start=1):
        before = inside
        inside = _open_text(line, inside)
        if before:
            continue
        statement = line.strip()
        if statement.startswith("["):
            key = _key_of(statement.split("#")[0])
            table = key or table
            if key:
                yield number, key
        elif "=" in statement and (key := _key_of(f"{statement.partition('=')[0]} = 0")):
            yield number, (*table, *key)


def _open_text(line: str, inside: str) -> str:
    """Tell by which quotes a text is still open behind a line."""
    for quotes in re.findall(r'"""|\'\'\'', line):
        if not inside:
            inside = quotes
        elif inside == quotes:
            inside = ""
    return inside


def _key_of(statement: str) -> Key:
    """Read the dotted key of one header or assignment; nothing if it is none."""
    try:
        node = tomllib.loads(statement)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    key = []
    while isinstance(node, dict) and node:
        name, node = next(iter(node.items()))
        key.append(name)
        node = node[0] if isinstance(node, list) else node
    return tuple(key)
