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


class PathGroup(NamedTuple):
    """Paths of one task that met the same end."""

    title: str
    paths: list[ShownPath]


class PredictionGroup(NamedTuple):
    """Predictions of one method on one task."""

    title: str
    predictions: list[ShownPrediction]


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
    environment.filters |= {"count": count, "decimal": decimal}
    return environment


def _visible(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def path_groups(paths: Sequence[ShownPath]) -> list[PathGroup]:
    """Group paths by what became of them: the selected first, then the kept, then the dropped by rule."""
    order = list(RULES)

    def rank(path: ShownPath) -> tuple[bool, bool, int, str]:
        reason = path.verdict.reason or ""
        return (
            not path.verdict.selected,
            path.verdict.reason is not None,
            order.index(reason) if reason in order else 0,
            reason,
        )

    groups = groupby(sorted(paths, key=rank), key=lambda path: (path.verdict.selected, path.verdict.reason))
    return [PathGroup(_group_title(selected, reason), list(group)) for (selected, reason), group in groups]


def _group_title(selected: bool, reason: str | None) -> str:
    if selected:
        return "Kept and selected"
    return "Kept, not selected" if reason is None else f"Dropped: {rule_name(reason)}"


def prediction_groups(predictions: Sequence[ShownPrediction]) -> list[PredictionGroup]:
    """Group predictions by method, the right ones first."""
    methods = dict.fromkeys(prediction.method for prediction in predictions)
    return [
        PredictionGroup(
            method_name(method),
            sorted(
                (each for each in predictions if each.method == method),
                key=lambda each: not each.prediction.correct_loose,
            ),
        )
        for method in methods
    ]


def _is_wrong(shown: ShownPrediction) -> bool:
    return not shown.prediction.correct_loose


def finite(value: Any) -> Any:
    """Copy a JSON value with null for what JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
