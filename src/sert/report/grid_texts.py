"""The tables of a grid as Markdown, and the most important of them as plain text for a terminal."""

from collections.abc import Sequence

from sert.report import cells
from sert.report.grid_ablations import ablation_groups, ablation_table
from sert.report.grid_parts import Section
from sert.report.grid_rows import Metrics, Pair, about_task, pairs_of
from sert.report.grid_tables import comparison_table, result_table
from sert.report.grid_verdict import grid_findings, pair_findings
from sert.report.table import Table, markdown_cell, markdown_table, plain_table, wrap
from sert.report.verdict import Finding

_RESULTS = ("Method", "Acc %", "k by seed / n", "95 %, questions", "Strict %", "Fmt", "Len", "Rep")
_COMPARISONS = ("Comparison", "Difference, points", "95 % interval", "p, Holm", "At 0.05", "Detectable, points")
_ABLATIONS = ("Variant", "Acc %", "To main, points", "95 % interval", "p, Holm", "At 0.05", "True among selected %")


def grid_markdown(metrics: Metrics, sections: Sequence[Section]) -> str:
    """Write the verdict, every table and the names of the figures as Markdown."""
    seeds = ", ".join(map(str, metrics["seeds"]))
    parts = [
        f"# {markdown_cell(str(metrics['name']))}",
        f"{'Seeds' if len(metrics['seeds']) > 1 else 'Seed'} {markdown_cell(seeds)}.",
        "## Verdict",
    ]
    parts += _list(grid_findings(metrics))
    for pair in pairs_of(metrics):
        parts += [f"### {markdown_cell(pair.title)}", *_list(pair_findings(metrics, pair))]
    for section in sections:
        parts += [f"## {section.title}", *map(markdown_cell, section.notes)]
        for titled in (*section.tables, *section.folded):
            parts += [f"### {markdown_cell(titled.title)}", markdown_table(titled.table)]
            parts += map(markdown_cell, titled.notes)
        parts += [
            f"![{markdown_cell(drawing.title)}: {markdown_cell(drawing.caption)}](figures/{drawing.name}.png)"
            for drawing in section.drawings
        ]
    return "\n\n".join(parts) + "\n"


def _list(findings: Sequence[Finding]) -> list[str]:
    lines = [f"- **{markdown_cell(finding.label)}** {markdown_cell(finding.text)}" for finding in findings]
    return ["\n".join(lines)] if lines else []


def grid_terminal_table(metrics: Metrics) -> str:
    """Write results, comparisons and ablations as plain text: no colour codes, at most 100 columns."""
    parts = [wrap(f"{finding.label}: {finding.text}") for finding in grid_findings(metrics)]
    for pair in pairs_of(metrics):
        parts += _pair_parts(metrics, pair)
    if metrics["warnings"]:
        parts.append("\n".join(wrap(f"Warning: {warning}") for warning in metrics["warnings"]))
    return "\n\n".join(parts)


def _pair_parts(metrics: Metrics, pair: Pair) -> list[str]:
    number = cells.count(about_task(metrics, pair.task)["num_test"])
    seeds = ", ".join(map(str, metrics["seeds"]))
    parts = [wrap(f"{pair.title}: {number} test questions, seeds {seeds}")]
    parts.append(plain_table(_only(result_table(metrics, pair), _RESULTS)))
    comparisons = comparison_table(metrics, pair)
    if not comparisons.is_empty:
        parts.append(plain_table(_only(comparisons, _COMPARISONS)))
    for group in ablation_groups(metrics, pair):
        parts.append(wrap(f"{pair.title}: {group}"))
        parts.append(plain_table(_only(ablation_table(metrics, pair, group=group), _ABLATIONS)))
    cautions = [finding for finding in pair_findings(metrics, pair) if finding.label == "Caution"]
    return parts + [wrap(f"{finding.label}: {finding.text}") for finding in cautions]


def _only(table: Table, headings: Sequence[str]) -> Table:
    """Keep the columns with these headings."""
    places = [place for place, heading in enumerate(table.header) if heading in headings]
    return Table(
        tuple(table.header[place] for place in places), [tuple(row[place] for place in places) for row in table.rows]
    )
