"""A page for each section of the configuration: what each setting takes, its default, and what it means."""

import re
from collections.abc import Iterator
from inspect import getdoc
from typing import Any, get_origin

import tomli_w
from pydantic.fields import FieldInfo

from sert.config.grid import Grid
from sert.config.section import Section, section_in
from sert.config.takes import takes
from sert.config.tree import Config
from site_pages.commands import linked

NOTE = "<!-- Made from the code by `python -m site_pages`; change the setting's docstring and make it again. -->"
_TITLES = {"": "A whole run", "grid": "Grid files"}
_INTRODUCTIONS = {
    "": "What stands at the top of a configuration, outside of any section.",
    "grid": "What a grid file holds (`docs/grids.md`); `base` is a configuration without `name`, `seed` and `student`.",
}


def setting_pages() -> dict[str, str]:
    """Make the pages of all sections: file name below `docs/settings` -> text."""
    own = {name: section_in(field.annotation) for name, field in Config.model_fields.items()}
    pages = {"run.md": _page("", Config)}
    for name, section in own.items():
        if section is not None:
            of_any = ".<name>" if get_origin(Config.model_fields[name].annotation) is dict else ""
            pages[f"{name}.md"] = _page(f"{name}{of_any}", section)
    pages["grid.md"] = _page("grid", Grid)
    return {"index.md": _index(pages), **pages}


def _index(pages: dict[str, str]) -> str:
    lines = ["# Settings", "", NOTE, ""]
    lines += [
        "A configuration is a TOML file; any setting can be changed for one command by `--set`, as in",
        "`--set mining.branches=3`. What is not set keeps its default, which is the paper's value where it states one",
        "([paper index](../paper_index.md)).",
        "",
    ]
    for file, text in pages.items():
        title = text.partition("\n")[0].removeprefix("# ")
        names = re.findall(r"^#{2,4} `([^`]+)`$", text, re.MULTILINE)
        listed = ", ".join(f"`{name.rpartition('.')[2]}`" for name in names if not name.startswith("["))
        lines.append(f"- [{title}]({file}): {listed}")
    return "\n".join([*lines, ""])


def _page(prefix: str, section: type[Section]) -> str:
    title = _TITLES.get(prefix) or f"`[{prefix}]`"
    lines = [f"# {title}", "", NOTE, "", *_paragraphs(_INTRODUCTIONS.get(prefix) or getdoc(section) or "")]
    start = "" if prefix in _TITLES else f"{prefix}."
    return "\n".join([*lines, *_settings(section, start, with_sections=prefix != "")]) + "\n"


def _settings(section: type[Section], prefix: str, *, with_sections: bool) -> Iterator[str]:
    """Write the settings of a section, then those of the sections in it."""
    inner = {name: found for name, field in section.model_fields.items() if (found := section_in(field.annotation))}
    for name, field in section.model_fields.items():
        if name not in inner:
            yield from _setting(f"{prefix}{name}", field)
    for name, found in inner.items() if with_sections else ():
        field = section.model_fields[name]
        of_any = ".<name>" if get_origin(field.annotation) is dict else ""
        yield from (f"## `[{prefix}{name}{of_any}]`", "", *_paragraphs(field.description or getdoc(found) or ""))
        yield from _settings(found, f"{prefix}{name}{of_any}.", with_sections=True)


def _setting(path: str, field: FieldInfo) -> Iterator[str]:
    default = "Must be given." if field.is_required() else f"Default: {_default(field.get_default())}."
    yield from (f"### `{path}`", "")
    yield from (f"Takes {takes(field.annotation, field.metadata)}. {default}", "")
    yield from _paragraphs(field.description or "")


def _default(value: Any) -> str:
    """Write a default as TOML has it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(_toml, value))}]`"
    return "`{}`" if value == {} else f"`{_toml(value)}`"


def _toml(value: bool | int | float | str) -> str:
    return tomli_w.dumps({"value": value}).strip().removeprefix("value = ")


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph:
            yield from (linked(" ".join(paragraph.split())), "")
