"""Settings from TOML, with `--set a.b=c` on top; unknown keys are refused with the nearest name."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from sert.config import Config, Section
from sert.errors import ConfigError

SectionT = TypeVar("SectionT", bound=Section)


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
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {path}. See `configs/` for examples.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; give a TOML file such as configs/lab.toml.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    tree = apply_overrides(tree, overrides)
    if limit is not None:
        config = validate(Config, tree, source=str(path))
        tree = apply_overrides(tree, [f"tasks.{name}.limit={limit}" for name in config.tasks])
    return validate(Config, tree, source=str(path))


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
            raise ConfigError(f"--set {override}: this command reads only {', '.join(reads)}.")
    config = validate(Config, apply_overrides({"name": "stage", **tree}, overrides), source="The command line")
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
        dotted, equals, raw = override.partition("=")
        keys = dotted.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(f"Cannot read the override {override!r}; write it as section.key=value.")
        node = result
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ConfigError(f"Cannot set {dotted!r}: {key!r} is a value, not a section.")
        node[keys[-1]] = _toml_value(raw.strip())
    return result


def validate(section: type[SectionT], tree: Mapping[str, Any], *, source: str) -> SectionT:
    """Check a mapping against a section.

    Raises:
        ConfigError: With every problem, its key, what was given, and the nearest allowed name.
    """
    try:
        return section.model_validate(tree)
    except ValidationError as error:
        lines = [f"  {_explain(section, dict(problem))}" for problem in error.errors()]
        raise ConfigError("\n".join([f"{source} cannot be used:", *lines])) from None


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in tree.items()}


def _toml_value(raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def _explain(section: type[Section], problem: dict[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        allowed = _allowed_keys(section, location[:-1])
        nearest = difflib.get_close_matches(location[-1], allowed, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; allowed: {', '.join(allowed)}"
        return f"unknown key {key!r}{hint}"
    if problem["type"] == "missing":
        return f"{key!r} is missing"
    if location[-1:] == ["api_key_env"]:  # what was given may be the key itself
        return f"{key!r} must be the name of an environment variable, in capitals, such as OPENAI_API_KEY; not a key"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{key!r} = {problem['input']!r}: {message}"


def _allowed_keys(section: type[Section], location: list[str]) -> list[str]:
    current: type[Section] = section
    for part in location:
        annotation = current.model_fields[part].annotation if part in current.model_fields else current
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, Section):
                current = candidate
    return sorted(current.model_fields)
