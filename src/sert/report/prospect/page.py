"""The page of a prospect: `prospect.html`, with its numbers as `prospect.json` and its figures beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from sert.report.columns import share_in
from sert.report.examples import ShownPath
from sert.report.figures.bars import StandingBar, standing_figure
from sert.report.figures.style import images
from sert.report.format import MINUS, count
from sert.report.names import Row
from sert.report.page import FIGURES, write_figures
from sert.report.parts import CaptionedFigure, ReportSection, TitledTable
from sert.report.prospect.figures import pass_figure
from sert.report.prospect.findings import prospect_findings
from sert.report.prospect.knowledge import knowledge_table
from sert.report.prospect.names import STANDINGS, look_name
from sert.report.prospect.tables import (
    decoding_table,
    look_table,
    pass_table,
    rule_table,
    threshold_table,
)
from sert.report.rendering import finite, page_environment
from sert.report.table import plain_table, wrap
from sert.store.artifacts import write_json

ON_TERMINAL = ("By likelihood", "The rules", "What tells", "The full run")
"""Findings that a terminal shows beside the verdict."""
PAGE, NUMBERS = "prospect.html", "prospect.json"


class StandingPaths(NamedTuple):
    """A few paths that stand alike."""

    standing: str
    shown: Sequence[ShownPath]

    @property
    def title(self) -> str:
        """What is said over them."""
        return STANDINGS[self.standing]


def write_prospect(folder: Path, numbers: Mapping[str, Any], shown: Sequence[StandingPaths]) -> dict[str, Any]:
    """Write the page, its numbers and its figures (SVG and PNG); return the numbers as written, with the findings.

    The files depend on what is given only: equal data give equal bytes. A number that is not finite becomes null.
    """
    written = finite({**numbers, "findings": [each._asdict() for each in prospect_findings(numbers)]})
    sections = prospect_sections(written)
    drawn = {each.name: images(each.figure, each.name) for section in sections for each in section.figures}
    folder.mkdir(parents=True, exist_ok=True)
    page = (
        page_environment()
        .get_template(PAGE)
        .render(
            metrics=written,
            sections=sections,
            svgs={name: Markup(image.svg) for name, image in drawn.items()},
            shown=[each for each in shown if each.shown],
        )
    )
    (folder / PAGE).write_text(page, encoding="utf-8")
    write_json(folder / NUMBERS, written)
    write_figures(folder / FIGURES, drawn)
    return dict(written)


def prospect_text(numbers: Mapping[str, Any]) -> str:
    """Write how outputs stand and the most important findings as plain text: no colour codes, at most 100 columns."""
    asked = numbers["questions"]
    title = (
        f"{numbers['task']}: {asked['asked']} of {asked['drawn_from']} train questions, student {numbers['student']}"
    )
    first = {numbers["findings"][0]["label"], *ON_TERMINAL}
    findings = [wrap(f"{each['label']}: {each['text']}") for each in numbers["findings"] if each["label"] in first]
    warnings = [wrap(f"Warning: {warning}") for warning in numbers["warnings"]]
    said = "\n".join([*findings, *warnings]).replace(MINUS, "-")
    return "\n\n".join([wrap(title), plain_table(decoding_table(numbers, terminal=True)), said])


def prospect_sections(numbers: Mapping[str, Any]) -> list[ReportSection]:
    """Lay out what follows the verdict."""
    known = [_knowledge(numbers["likelihood"])] if numbers["likelihood"] else []
    return [_outputs(numbers), *known, _passes(numbers), _looks(numbers), _kept(numbers), _thresholds(numbers)]


def _outputs(numbers: Mapping[str, Any]) -> ReportSection:
    notes = [
        "Every output states the right answer, a wrong one, or none that can be read; of these some are cut at their "
        "longest. Branching and raw sampling have the same number of paths a question. Intervals are over questions."
    ]
    groups = {row["decoding"]: row for row in numbers["decodings"]}
    kept = numbers["looks"][0]
    groups |= {"kept paths": kept["inside"], "dropped paths": kept["outside"]}
    groups |= {look_name(row): row["inside"] for row in numbers["looks"] if row["kind"] == "branch"}
    caption = "Right, wrong, unread and cut, in percent; at the right the number of outputs."
    bars = [
        StandingBar(name, {each: share_in(row, each) for each in STANDINGS}, count(row["paths"]))
        for name, row in groups.items()
        if row["paths"]
    ]
    figure = CaptionedFigure("standings", "How outputs stand.", caption, standing_figure(bars))
    tables = [TitledTable("By decoding", decoding_table(numbers))]
    return ReportSection("outputs", "Right, wrong, unread, cut", notes, tables=tables, figures=[figure])


def _knowledge(rows: Sequence[Row]) -> ReportSection:
    notes = [
        "A written answer can be wrong because the student cannot do the task, or because it does not write the form "
        "that is read; the most probable of the possible answers needs no form. Words: yes or no, or the text of a "
        "choice, behind the prompt, by their log-probability a character or in sum; letters where the prompt shows "
        "them. As written: what the greedy output states. Differences are paired by question, and are one family for "
        "Holm's correction. Each question counts once."
    ]
    tables = [TitledTable("Right answers", knowledge_table(rows))]
    return ReportSection("likelihood", "What it knows by likelihood", notes, tables=tables)


def _passes(numbers: Mapping[str, Any]) -> ReportSection:
    notes = [
        "pass@k: how often at least one of k outputs of a question states the right answer. Guessing as often: the "
        "same for one who states an answer as often as the student does on each question, and guesses it. It is high "
        "with many samples and few choices, so only what lies above it was found."
    ]
    caption = "The share of questions, with intervals; dashed, guessing as often as the outputs state an answer."
    figure = CaptionedFigure("pass-at-k", "pass@k.", caption, pass_figure(numbers["pass_at_k"]))
    return ReportSection(
        "pass", "pass@k", notes, tables=[TitledTable("Of all questions", pass_table(numbers))], figures=[figure]
    )


def _looks(numbers: Mapping[str, Any]) -> ReportSection:
    notes = [
        "Each line parts the paths of branching in two and compares the named ones with all others, within the "
        "questions that have both: first among the paths that state an answer, then over all. Positive is in favour "
        "of the named ones. All comparisons are one family for Holm's correction. Where only the difference over all "
        "paths can be told, it is one of how many state an answer, which may be form alone."
    ]
    parts = {"The rules": ("kept", "rule"), "Branches": ("branch",), "Bands": ("perplexity", "num_tokens", "rep_2")}
    rows = {title: [row for row in numbers["looks"] if row["kind"] in kinds] for title, kinds in parts.items()}
    tables = [TitledTable(title, look_table(own)) for title, own in rows.items() if own]
    return ReportSection("looks", "What tells right paths from wrong ones", notes, tables=tables)


def _kept(numbers: Mapping[str, Any]) -> ReportSection:
    rules = numbers["rules"]
    notes = [
        f"The rules keep {rules['kept']:,} of {rules['paths']:,} paths, of {rules['questions_kept']:,} of "
        f"{rules['questions']:,} questions. A rule drops a path alone where it would if it were the only one, as the "
        "first where no rule before it did, and it is the only one where the path would be kept without it."
    ]
    return ReportSection("rules", "What the rules keep", notes, tables=[TitledTable("By rule", rule_table(numbers))])


def _thresholds(numbers: Mapping[str, Any]) -> ReportSection:
    notes = [
        "Percentiles of what the rules measure, of the paths of branching, and the thresholds that the student's own "
        "distribution suggests: each drops a quarter of its paths. Right and wrong answers chose none of them."
    ]
    tables = [TitledTable("Percentiles", threshold_table(numbers))]
    return ReportSection("thresholds", "Thresholds", notes, tables=tables)
