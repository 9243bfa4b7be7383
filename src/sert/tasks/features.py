"""Names behind the numbers of a hub set: its description says that 1 stands for `B`, and its rows hold the 1."""

import json
from collections.abc import Mapping
from typing import Any


def class_names(features: Any) -> dict[str, list[str]]:
    """Find the columns whose numbers stand for names, in the description that a hub set carries: column -> names."""
    if not isinstance(features, Mapping):
        return {}
    labelled = {name: each for name, each in features.items() if isinstance(each, Mapping)}
    return {
        name: list(map(str, each["names"]))
        for name, each in labelled.items()
        if each.get("_type") == "ClassLabel" and isinstance(each.get("names"), list)
    }


def with_class_names(columns: Mapping[str, Any], names: Mapping[str, list[str]]) -> Mapping[str, Any]:
    """Write names for the numbers that stand for them; -1, which stands for none, becomes None."""
    found = {name: columns[name] for name in names if type(columns.get(name)) is int}
    return {**columns, **{name: dict(enumerate(names[name])).get(number) for name, number in found.items()}}


def stored_class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Read them from a Parquet file that `datasets` wrote."""
    try:
        description = json.loads(metadata.get(b"huggingface", b"{}"))
        return class_names(description["info"]["features"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
