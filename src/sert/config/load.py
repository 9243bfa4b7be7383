"""Settings from TOML, with `--set a.b=c` on top; unknown keys are refused with the nearest name."""

import copy
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from sert.config.explain import Key, Places, explain_problems, explain_syntax, shown
from sert.config.section import Section
from sert.config.tree import Config
from sert.errors import ConfigError
from sert.files import read_whole

SectionT = TypeVar("SectionT", bound=Section)

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
    tree = with_limit(_parse(path, text, overrides), limit)
    return validate(Config, tree, source=str(path), places=Places(text, map(override_key, overrides)))


class Toml(NamedTuple):
    """What stands in a TOML file, and where."""

    tree: dict[str, Any]
    places: Places


def read_toml(path: Path) -> Toml:
    """Read a TOML file.

    Raises:
        ConfigError: If the file is missing, too large or no TOML.
    """
    text = _read(path)
    return Toml(_parse(path, text, ()), Places(text))


def stage_config(tree: Mapping[str, Any], *, overrides: Iterable[str], reads: Iterable[str]) -> Config:
    """Build the configuration of a single stage; overrides come last and win.

    Only what the stage reads can be overridden (`check_overrides`).
    The sections in `tree` are as the command's options give them, with one task.

    Raises:
        ConfigError: If a setting is not allowed, or an override names a section that is not read or another task.
    """
    overrides = list(overrides)
    check_overrides(overrides, reads=reads)
    merged = apply_overrides({"name": "stage", **tree}, overrides)
    places = Places(overrides=map(override_key, overrides))
    config = validate(Config, merged, source="The command line", places=places)
    others = set(config.tasks) - set(tree["tasks"])
    if others:
        raise ConfigError(f"--set names the task {others.pop()!r}, but --task is {', '.join(tree['tasks'])!r}.")
    return config


def check_overrides(overrides: Iterable[str], *, reads: Iterable[str]) -> None:
    """Refuse overrides of what a command does not read (sections, or single settings by their paths).

    Sections that there are not are left to whoever validates the settings, and says which one is meant.

    Raises:
        ConfigError: If a setting would be given in vain.
    """
    reads = list(reads)
    for override in overrides:
        path = override.partition("=")[0].strip()
        is_read = any(path == read or path.startswith(f"{read}.") for read in reads)
        if path.partition(".")[0] in Config.model_fields and not is_read:
            raise ConfigError(f"--set {shown(override)}: this command reads only {', '.join(reads)}.")


def apply_overrides(tree: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Set `a.b=c` in a nested mapping and return the copy.

    Raises:
        ConfigError: If an override is not of the form `a.b=c`.
    """
    result = copy.deepcopy(dict(tree))
    for override in overrides:
        keys = override_key(override)
        node = result
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ConfigError(f"Cannot set {'.'.join(keys)!r}: {key!r} is a value, not a section.")
        node[keys[-1]] = _toml_value(override.partition("=")[2].strip())
    return result


def with_limit(tree: Mapping[str, Any], limit: int | None) -> Mapping[str, Any]:
    """Set `limit` of every task, unless it is None."""
    tasks = tree.get("tasks")
    if limit is None or not isinstance(tasks, Mapping):
        return tree
    limited = {name: {**task, "limit": limit} for name, task in tasks.items() if isinstance(task, Mapping)}
    return {**tree, "tasks": {**tasks, **limited}}


def validate(
    section: type[SectionT], tree: Mapping[str, Any], *, source: str, places: Places | None = None
) -> SectionT:
    """Check what was given against a section; `source` names it in messages, `places` say where each key was given.

    Raises:
        ConfigError: With every problem, its key, what was given, and the nearest allowed name.
    """
    try:
        return section.model_validate(tree)
    except ValidationError as error:
        lines = explain_problems(section, error, places or Places())
        raise ConfigError("\n".join([f"{source} cannot be used:", *(f"  {line}" for line in lines)])) from None


def _parse(path: Path, text: str, overrides: Iterable[str]) -> dict[str, Any]:
    try:
        return apply_overrides(tomllib.loads(text), overrides)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not a TOML file: {explain_syntax(text, error)}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply to be a configuration.") from None


def _read(path: Path) -> str:
    path = Path(os.path.expanduser(path))
    try:
        return read_whole(path, largest=LARGEST_CONFIG)
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {path}. See `configs/` for examples.") from None
    except OSError as error:
        is_folder = os.path.isdir(path)
        hint = f"{path} is a folder" if is_folder else f"The configuration file {path} cannot be read: {error}"
        raise ConfigError(f"{hint}; give a TOML file such as configs/lab.toml.") from None


def override_key(override: str) -> Key:
    """Read the key of `a.b=c`.

    Raises:
        ConfigError: If it has another form, is too long, or is not UTF-8 text.
    """
    dotted, equals, _ = override.partition("=")
    keys = tuple(dotted.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError(f"Cannot read the override {shown(override)}; write it as section.key=value.")
    if len(override) > LONGEST_OVERRIDE or len(keys) > DEEPEST_OVERRIDE:
        raise ConfigError(f"The override {shown(override)} is too long or too deeply nested.")
    if not override.isascii() and any("\ud800" <= character <= "\udfff" for character in override):
        raise ConfigError(f"The override {shown(override)} is not UTF-8 text.")
    return keys


def _toml_value(raw: str) -> Any:
    try:
        tree = tomllib.loads(f"value = {raw}")
    except tomllib.TOMLDecodeError:
        return raw
    except RecursionError:
        raise ConfigError(f"The value {shown(raw)} is nested too deeply.") from None
    return tree["value"] if len(tree) == 1 else raw
