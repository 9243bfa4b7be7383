"""Settings from TOML, with `--set a.b=c` on top; unknown keys are refused with the nearest name."""

import functools
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

from pydantic import ValidationError

from sert.config.explain import Key, Places, explain_syntax
from sert.config.names import section_in, suggest
from sert.config.section import Section
from sert.config.tree import Config
from sert.errors import ConfigError
from sert.files import read_whole
from sert.terminal.text import shorten

SectionT = TypeVar("SectionT", bound=Section)
_shown = functools.partial(shorten, most=200)

LARGEST_CONFIG = 2**17
"""Bytes of a configuration file."""
LONGEST_OVERRIDE = 2**17
"""Characters of one `--set`."""
DEEPEST_OVERRIDE = 32
"""Parts of the key of one `--set`."""


def load_config(path: Path, *, overrides: Iterable[str] = (), limit: int | None = None) -> Config:
    """Read a TOML file and apply overrides.

    Relative paths inside the file are taken from the current folder.

    Args:
        path: The file.
        overrides: `a.b=c` strings; `c` is read as a TOML value, or as a string if it is none.
        limit: Sets `limit` of every task.

    Raises:
        ConfigError: If the file is missing or is not TOML, or a key or value is not allowed.
    """
    overrides, text = list(overrides), _read(path)
    tree = _parse(path, text, overrides)
    places = Places(text, map(_override_key, overrides))
    if limit is not None:
        config = validate(Config, tree, source=str(path), places=places)
        tree = apply_overrides(tree, [f"tasks.{name}.limit={limit}" for name in config.tasks])
    return validate(Config, tree, source=str(path), places=places)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: If the file is missing, too large or no TOML.
    """
    return _parse(path, _read(path), ())


def stage_config(tree: Mapping[str, Any], *, overrides: Iterable[str], reads: Iterable[str]) -> Config:
    """Build the configuration of a single stage; overrides come last and win.

    Only the sections that the stage reads can be overridden, so that no setting is given in vain.

    Args:
        tree: Sections as the command's options give them, with one task.
        overrides: `a.b=c` strings.
        reads: The sections that the stage reads.

    Raises:
        ConfigError: If a setting is not allowed, or an override names a section that is not read or another task.
    """
    overrides, reads = list(overrides), list(reads)
    for override in overrides:
        if override.partition("=")[0].split(".")[0].strip() not in reads:
            raise ConfigError(f"--set {_shown(override)}: this command reads only {', '.join(reads)}.")
    merged = apply_overrides({"name": "stage", **tree}, overrides)
    places = Places(overrides=map(_override_key, overrides))
    config = validate(Config, merged, source="The command line", places=places)
    others = set(config.tasks) - set(tree["tasks"])
    if others:
        raise ConfigError(f"--set names the task {others.pop()!r}, but --task is {', '.join(tree['tasks'])!r}.")
    return config


def apply_overrides(tree: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Set `a.b=c` in a nested mapping and return the copy.

    Raises:
        ConfigError: If an override is not of the form `a.b=c`.
    """
    result = _copy(tree)
    for override in overrides:
        keys = _override_key(override)
        node = result
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ConfigError(f"Cannot set {'.'.join(keys)!r}: {key!r} is a value, not a section.")
        node[keys[-1]] = _toml_value(override.partition("=")[2].strip())
    return result


def validate(
    section: type[SectionT], tree: Mapping[str, Any], *, source: str, places: Places | None = None
) -> SectionT:
    """Check a mapping against a section.

    Args:
        section: The kind of section.
        tree: What was given.
        source: Where it comes from, for the message.
        places: Where in the source each key was given.

    Raises:
        ConfigError: With every problem, its key, what was given, and the nearest allowed name.
    """
    try:
        return section.model_validate(tree)
    except ValidationError as error:
        lines = _explain(section, error, places or Places())
        raise ConfigError("\n".join([f"{source} cannot be used:", *(f"  {line}" for line in lines)])) from None


def _parse(path: Path, text: str, overrides: Iterable[str]) -> dict[str, Any]:
    try:
        return apply_overrides(tomllib.loads(text), overrides)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not a TOML file: {explain_syntax(text, error)}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply to be a configuration.") from None


def _read(path: Path) -> str:
    try:
        return read_whole(path, largest=LARGEST_CONFIG)
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {path}. See `configs/` for examples.") from None
    except OSError as error:
        is_folder = os.path.isdir(path)
        hint = f"{path} is a folder" if is_folder else f"The configuration file {path} cannot be read: {error}"
        raise ConfigError(f"{hint}; give a TOML file such as configs/lab.toml.") from None


def _override_key(override: str) -> Key:
    """Read the key of `a.b=c`.

    Raises:
        ConfigError: If it has another form, is too long, or is not UTF-8 text.
    """
    dotted, equals, _ = override.partition("=")
    keys = tuple(dotted.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError(f"Cannot read the override {_shown(override)}; write it as section.key=value.")
    if len(override) > LONGEST_OVERRIDE or len(keys) > DEEPEST_OVERRIDE:
        raise ConfigError(f"The override {_shown(override)} is too long or too deeply nested.")
    if not override.isascii() and any("\ud800" <= character <= "\udfff" for character in override):
        raise ConfigError(f"The override {_shown(override)} is not UTF-8 text.")
    return keys


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in tree.items()}


def _toml_value(raw: str) -> Any:
    try:
        tree = tomllib.loads(f"value = {raw}")
    except tomllib.TOMLDecodeError:
        return raw
    except RecursionError:
        raise ConfigError(f"The value {_shown(raw)} is nested too deeply.") from None
    return tree["value"] if len(tree) == 1 else raw


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


def _explain(section: type[Section], error: ValidationError, places: Places) -> Iterator[str]:
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
    return f"{key!r} = {_shown(problem['input'])}: "


def _says(root: type[Section], place: _Place, problem: Mapping[str, Any]) -> str:
    kind, message = problem["type"], str(problem["msg"])
    if kind == "extra_forbidden":
        nearest = suggest(root, place.around, place.key[-1])
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
