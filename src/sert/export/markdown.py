"""Markdown of cards: front matter and tables in which no text of a model, of data or of a user means anything."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sert.store.artifacts import Artifact
from sert.store.stage import named_values
from sert.terminal.text import cut, printable, readable

_LONGEST_VALUE = 200


def front_matter(fields: Mapping[str, Any]) -> Iterator[str]:
    """Write the settings at the head of a card, each in one line: JSON, which YAML reads as it is."""
    yield from ("---", *(f"{name}: {_json(value)}" for name, value in fields.items()), "---", "")


def _json(value: Any) -> str:
    return json.dumps(_shown(value), ensure_ascii=False, allow_nan=False)


def _shown(value: Any) -> Any:
    """Make every character visible: what cannot be printed is none that YAML reads."""
    if isinstance(value, Mapping):
        return {name: _shown(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(part) for part in value]
    return printable(value).replace("\n", "\\n").replace("\t", " ") if isinstance(value, str) else value


def as_code(value: Any) -> str:
    """Write a value as text that is no Markdown: settings and names come from users, texts from models."""
    text = cut(printable(readable(value)).replace("\n", "\\n"), most=_LONGEST_VALUE)
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Write a table whose cells are all code."""
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    yield from (f"| {' | '.join(map(as_code, row))} |" for row in rows)


def settings_table(artifact: Artifact) -> Iterator[str]:
    """Say by what a result was made: its key, seed and settings, what was counted, and the versions."""
    manifest = artifact.manifest
    versions = manifest.get("versions")
    yield from table(
        ("what", "value"),
        [
            *((name, manifest.get(name)) for name in ("stage", "key", "seed", "created")),
            *named_values(manifest["config"]),
            *named_values(manifest["counts"]),
            *named_values(versions if isinstance(versions, Mapping) else {}),
        ],
    )
