"""The report: a static page with no script and no outside request, the tables as Markdown, the numbers as JSON."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from sert.report.columns import MEASURES
from sert.report.contents import all_sections
from sert.report.examples import ReportData, ShownPath, ShownPrediction
from sert.report.figures.style import Images, images
from sert.report.findings import overall_findings, pair_findings
from sert.report.parts import ReportSection
from sert.report.rendering import Group, finite, page_environment, path_groups, prediction_groups
from sert.report.rows import Metrics, pairs_of
from sert.report.sections.numbers import near_duplicate_table
from sert.report.texts import markdown_text
from sert.store.artifacts import write_json

FIGURES = "figures"

_whose = attrgetter("student", "task")


class ShownOf(NamedTuple):
    """Examples of one student on one task."""

    title: str
    paths: list[Group]
    predictions: list[Group]


def write_report(folder: Path, data: ReportData) -> list[Path]:
    """Write `index.html`, `table.md`, `metrics.json` and the figures (SVG and PNG), and return their paths.

    The files depend on the data only (`docs/data.md`): equal data give equal bytes. A number that is not finite becomes
    null. Files of an earlier report with other figures are not removed.
    """
    metrics = finite(data.metrics)
    sections = all_sections(metrics)
    filled = [section for section in sections if not section.is_empty]
    drawn = {each.name: images(each.figure, each.name) for section in filled for each in section.figures}
    folder.mkdir(parents=True, exist_ok=True)
    page, tables, numbers = folder / "index.html", folder / "table.md", folder / "metrics.json"
    shown = _shown(data.paths, data.predictions)
    rendered = _render(metrics, sections, drawn=drawn, shown=shown, explorer=data.explorer)
    page.write_text(rendered, encoding="utf-8")
    tables.write_text(markdown_text(metrics, filled), encoding="utf-8")
    write_json(numbers, metrics)
    return [page, tables, numbers, *write_figures(folder / FIGURES, drawn)]


def write_figures(folder: Path, drawn: Mapping[str, Images]) -> list[Path]:
    """Write figures by their names, as SVG and as PNG; there is no folder where there are none."""
    written = []
    for name, image in drawn.items():
        folder.mkdir(exist_ok=True)
        vector, pixels = folder / f"{name}.svg", folder / f"{name}.png"
        vector.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{image.svg}', encoding="utf-8")
        pixels.write_bytes(image.png)
        written += [vector, pixels]
    return written


def _render(
    metrics: Metrics,
    sections: Sequence[ReportSection],
    *,
    drawn: Mapping[str, Images],
    shown: Sequence[ShownOf],
    explorer: str | None,
) -> str:
    """Render the page. Every text is escaped; control characters are made visible."""
    pairs = pairs_of(metrics)
    return (
        page_environment()
        .get_template("index.html")
        .render(
            metrics=metrics,
            students=list(dict.fromkeys(pair.student for pair in pairs)) or [metrics.get("student", "none")],
            findings=overall_findings(metrics),
            pairs=[(pair.title, pair_findings(metrics, pair)) for pair in pairs],
            sections=[section for section in sections if not section.is_empty],
            not_measured=[section.title for section in sections if section.is_empty],
            measures=MEASURES,
            svgs={name: Markup(image.svg) for name, image in drawn.items()},
            shown=shown,
            explorer=explorer,
            near_duplicates=near_duplicate_table(metrics),
        )
    )


def _shown(paths: Sequence[ShownPath], predictions: Sequence[ShownPrediction]) -> list[ShownOf]:
    """Group the examples by student and task."""
    whose = dict.fromkeys([*map(_whose, paths), *map(_whose, predictions)])
    return [
        ShownOf(
            f"{student} on {task}" if student else task,
            path_groups([each for each in paths if _whose(each) == (student, task)]),
            prediction_groups([each for each in predictions if _whose(each) == (student, task)]),
        )
        for student, task in whose
    ]
