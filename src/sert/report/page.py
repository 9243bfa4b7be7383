"""The report: a static page with no script and no outside request, the tables as Markdown, the numbers as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from sert.report import judging, table
from sert.report.examples import ReportData, ShownPath, ShownPrediction
from sert.report.figures import draw_accuracy, draw_funnel, draw_latent
from sert.report.grid_page import write_grid_report
from sert.report.rendering import PathGroup, PredictionGroup, finite, page_environment, path_groups, prediction_groups
from sert.report.texts import markdown_tables
from sert.report.verdict import findings
from sert.store.artifacts import write_json


class Drawing(NamedTuple):
    """A figure with its caption, which is also what a screen reader says."""

    caption: str
    svg: Markup


class TaskView(NamedTuple):
    """Everything the page says of one task."""

    about: Mapping[str, Any]
    findings: list[Any]
    results: table.Table
    comparisons: table.Table
    epochs: table.Table
    funnel: table.Table
    latent: table.Table
    training: table.Table
    judged: table.Table
    trust: list[str]
    drawings: list[Drawing]
    paths: list[PathGroup]
    predictions: list[PredictionGroup]


def write_report(folder: Path, data: ReportData) -> list[Path]:
    """Write `index.html`, `table.md` and `metrics.json` into a folder and return their paths.

    The files depend on the arguments only: equal arguments give equal bytes. A number that is not finite becomes null.
    """
    if "seed" not in data.metrics:
        return write_grid_report(folder, data)
    numbers = finite(data.metrics)
    folder.mkdir(parents=True, exist_ok=True)
    page, tables, numbers_file = folder / "index.html", folder / "table.md", folder / "metrics.json"
    rendered = render_page(numbers, examples=data.paths, predictions=data.predictions)
    page.write_text(rendered, encoding="utf-8")
    tables.write_text(markdown_tables(numbers), encoding="utf-8")
    write_json(numbers_file, numbers)
    return [page, tables, numbers_file]


def render_page(
    metrics: Mapping[str, Any], *, examples: Sequence[ShownPath], predictions: Sequence[ShownPrediction]
) -> str:
    """Render the page. Every text is escaped; control characters are made visible."""
    views = [
        _view(metrics, about, number=number, examples=examples, predictions=predictions)
        for number, about in enumerate(metrics["tasks"])
    ]
    return (
        page_environment()
        .get_template("index.html")
        .render(metrics=metrics, tasks=views, selection=table.selection_table(metrics))
    )


def _view(
    metrics: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    number: int,
    examples: Sequence[ShownPath],
    predictions: Sequence[ShownPrediction],
) -> TaskView:
    task = about["task"]
    judged = table.of_task(metrics, "judged", task)
    return TaskView(
        about=about,
        findings=findings(metrics, about),
        results=table.result_table(metrics, about),
        comparisons=table.comparison_table(metrics, task),
        epochs=table.epoch_table(metrics, task),
        funnel=table.funnel_table(metrics, task),
        latent=table.latent_table(metrics, task),
        training=table.training_table(metrics, task),
        judged=judging.judging_table(judged[0]) if judged else table.Table((), []),
        trust=list(judging.judging_trust(judged[0])) if judged else [],
        drawings=list(_drawings(metrics, about, number=number)),
        paths=path_groups([example for example in examples if example.task == task]),
        predictions=prediction_groups([prediction for prediction in predictions if prediction.task == task]),
    )


def _drawings(metrics: Mapping[str, Any], about: Mapping[str, Any], *, number: int) -> Iterator[Drawing]:
    task = about["task"]
    if rows := table.primary_rows(metrics, task):
        svg = draw_accuracy(rows, majority=about["majority_accuracy"], name=f"accuracy-{number}")
        yield Drawing("Accuracy on the test questions with 95 % intervals; dashes: the majority class.", Markup(svg))
    if rows := table.of_task(metrics, "latent", task):
        svg = draw_latent(rows, name=f"latent-{number}")
        yield Drawing(
            "Reasoning before the answer. Upper, blue bars: share of all outputs; lower, orange bars: share of "
            "questions with at least one such output.",
            Markup(svg),
        )
    if rows := table.of_task(metrics, "funnel", task):
        svg = draw_funnel(rows, name=f"funnel-{number}")
        caption = "Mined paths that are left after each rule: their number, and their share as bars."
        measured = any(row["true_share"] is not None for row in rows)
        yield Drawing(f"{caption} Diamonds: the share of them that is true." if measured else caption, Markup(svg))
