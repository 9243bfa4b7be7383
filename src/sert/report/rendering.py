"""What the page is rendered with: templates that escape every text, examples in groups, finite numbers."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sert.report.examples import ShownPath, ShownPrediction
from sert.report.format import count, decimal
from sert.report.names import RULES, method_name, rule_name
from sert.terminal.text import printable


class Group(NamedTuple):
    """Examples of one task: paths that met the same end, or predictions of one method."""

    title: str
    shown: list[ShownPath] | list[ShownPrediction]


def page_environment() -> Environment:
    """Open the templates. Every text is escaped; control characters are made visible."""
    environment = Environment(
        loader=PackageLoader("sert.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {"count": count, "decimal": decimal, "rule_name": rule_name}
    return environment


def _visible(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def path_groups(paths: Sequence[ShownPath]) -> list[Group]:
    """Group paths by what became of them: the selected first, then the kept, then the dropped by rule."""
    order = list(RULES)

    def rank(path: ShownPath) -> tuple[bool, bool, int, str]:
        reason = path.verdict.reason
        place = order.index(reason) if reason in order else 0
        return not path.verdict.selected, reason is not None, place, reason or ""

    groups = groupby(sorted(paths, key=rank), key=lambda path: (path.verdict.selected, path.verdict.reason))
    return [Group(_group_title(selected, reason), list(group)) for (selected, reason), group in groups]


def _group_title(selected: bool, reason: str | None) -> str:
    if selected:
        return "Kept and selected"
    return "Kept, not selected" if reason is None else f"Dropped: {rule_name(reason)}"


def prediction_groups(predictions: Sequence[ShownPrediction]) -> list[Group]:
    """Group predictions by method, the right ones first."""
    right_first = sorted(predictions, key=lambda each: not each.prediction.correct_loose)
    return [
        Group(method_name(method), [each for each in right_first if each.method == method])
        for method in dict.fromkeys(each.method for each in predictions)
    ]


def finite(value: Any) -> Any:
    """Copy a JSON value with null for what JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
