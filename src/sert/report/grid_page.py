"""The report of a grid: a static page with no script and no outside request, figures, tables and the numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from sert.report import canvas
from sert.report.examples import ReportData, ShownPath, ShownPrediction
from sert.report.grid_parts import Section
from sert.report.grid_rows import pairs_of
from sert.report.grid_sections import grid_sections
from sert.report.grid_tables import near_duplicate_table
from sert.report.grid_texts import grid_markdown
from sert.report.grid_verdict import grid_findings, pair_findings
from sert.report.rendering import PathGroup, PredictionGroup, finite, page_environment, path_groups, prediction_groups
from sert.store.artifacts import write_json

FIGURES = "figures"
SHOWN_A_GROUP = 20


class ShownOf(NamedTuple):
    """Examples of one student on one task."""

    title: str
    paths: list[PathGroup]
    predictions: list[PredictionGroup]


def write_grid_report(folder: Path, report: ReportData) -> list[Path]:
    """Write `index.html`, `table.md`, `metrics.json` and the figures (SVG and PNG), and return their paths."""
    metrics, examples, predictions = report
    numbers = finite(metrics)
    sections = grid_sections(numbers)
    images = {
        drawing.name: canvas.images(drawing.figure, drawing.name)
        for section in sections
        for drawing in section.drawings
    }
    folder.mkdir(parents=True, exist_ok=True)
    page, tables, data = folder / "index.html", folder / "table.md", folder / "metrics.json"
    rendered = _render(numbers, sections, images=images, shown=_shown(examples, predictions))
    page.write_text(rendered, encoding="utf-8")
    tables.write_text(grid_markdown(numbers, sections), encoding="utf-8")
    write_json(data, numbers)
    return [page, tables, data, *_write_figures(folder / FIGURES, images)]


def _write_figures(folder: Path, images: Mapping[str, canvas.Images]) -> list[Path]:
    written = []
    for name, image in images.items():
        folder.mkdir(exist_ok=True)
        vector, pixels = folder / f"{name}.svg", folder / f"{name}.png"
        vector.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{image.svg}', encoding="utf-8")
        pixels.write_bytes(image.png)
        written += [vector, pixels]
    return written


def _render(
    metrics: Mapping[str, Any],
    sections: Sequence[Section],
    *,
    images: Mapping[str, canvas.Images],
    shown: Sequence[ShownOf],
) -> str:
    pairs = pairs_of(metrics)
    return (
        page_environment()
        .get_template("grid.html")
        .render(
            metrics=metrics,
            students=list(dict.fromkeys(pair.student for pair in pairs)),
            findings=grid_findings(metrics),
            pairs=[(pair.title, pair_findings(metrics, pair)) for pair in pairs],
            sections=sections,
            svgs={name: Markup(image.svg) for name, image in images.items()},
            shown=shown,
            near_duplicates=near_duplicate_table(metrics),
        )
    )


def _shown(examples: Sequence[ShownPath], predictions: Sequence[ShownPrediction]) -> list[ShownOf]:
    """Group the examples by student and task; of each group the first few are shown."""
    of_paths = [(each.student, each.task) for each in examples]
    whose = dict.fromkeys([*of_paths, *((each.student, each.task) for each in predictions)])
    return [
        ShownOf(
            f"{student} on {task}" if student else task,
            [
                group._replace(paths=group.paths[:SHOWN_A_GROUP])
                for group in path_groups([each for each in examples if (each.student, each.task) == (student, task)])
            ],
            prediction_groups(
                _first(each for each in predictions if (each.student, each.task) == (student, task)),
            ),
        )
        for student, task in whose
    ]


def _first(predictions: Any) -> list[ShownPrediction]:
    """Keep the first few of each method."""
    kept: list[ShownPrediction] = []
    counts: dict[str, int] = {}
    for each in predictions:
        counts[each.method] = counts.get(each.method, 0) + 1
        if counts[each.method] <= SHOWN_A_GROUP:
            kept.append(each)
    return kept
