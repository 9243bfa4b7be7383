"""The report as Markdown, and the most important tables of it as plain text for a terminal."""

from collections.abc import Iterator, Sequence

from sert.report.findings import activation_finding, forgetting_findings, overall_findings, pair_findings
from sert.report.format import MINUS, count
from sert.report.judging import judging_text
from sert.report.parts import ReportSection
from sert.report.rows import Metrics, Pair, about_task, is_single, of_pair, pairs_of
from sert.report.sections.ablations import ablated_standings, ablation_groups, ablation_table
from sert.report.sections.gains import gain_table
from sert.report.sections.results import (
    answered_table,
    comparison_table,
    forgetting_table,
    likelihood_table,
    result_table,
)
from sert.report.sections.standings import standing_table
from sert.report.statements import CAUTION, DOUBTS, Statement
from sert.report.table import markdown_cell, markdown_table, plain_table, wrap


def markdown_text(metrics: Metrics, sections: Sequence[ReportSection]) -> str:
    """Write the verdict, every table and the names of the figures as Markdown."""
    parts = [f"# {markdown_cell(str(metrics['name']))}", f"{markdown_cell(_about(metrics))}."]
    for task in metrics["tasks"]:
        numbers = f"{count(task['num_train'])} train, {count(task['num_dev'])} dev and {count(task['num_test'])} test"
        parts.append(markdown_cell(f"Questions of {task['task']}: {numbers}."))
    parts += ["## Verdict", *_list(overall_findings(metrics))]
    for pair in pairs_of(metrics):
        parts += [f"### {markdown_cell(pair.title)}", *_list(pair_findings(metrics, pair))]
    for section in sections:
        parts += [f"## {section.title}", *map(markdown_cell, section.notes)]
        for titled in (*section.tables, *section.folded):
            parts += [f"### {markdown_cell(titled.title)}", markdown_table(titled.table)]
            parts += map(markdown_cell, titled.notes)
        parts += [
            f"![{markdown_cell(figure.title)}: {markdown_cell(figure.caption)}](figures/{figure.name}.png)"
            for figure in section.figures
        ]
    return "\n\n".join(parts) + "\n"


def _about(metrics: Metrics) -> str:
    """Say which student and seed a run has, or which seeds a grid."""
    if is_single(metrics):
        return f"Student {metrics['student']}, seed {metrics['seed']}"
    seeds = metrics["seeds"]
    return f"{'Seeds' if len(seeds) > 1 else 'Seed'} {', '.join(map(str, seeds))}"


def _list(findings: Sequence[Statement]) -> list[str]:
    lines = [f"- **{markdown_cell(each.label)}** {markdown_cell(each.text)}" for each in findings]
    return ["\n".join(lines)] if lines else []


def terminal_table(metrics: Metrics) -> str:
    """Write results, comparisons and ablations as plain text: no colour codes, at most 100 columns."""
    parts = [] if is_single(metrics) else [wrap(f"{each.label}: {each.text}") for each in overall_findings(metrics)]
    for pair in pairs_of(metrics):
        parts += _pair_parts(metrics, pair)
    if metrics["warnings"]:
        parts.append("\n".join(wrap(f"Warning: {warning}") for warning in metrics["warnings"]))
    return "\n\n".join(parts)


def _pair_parts(metrics: Metrics, pair: Pair) -> Iterator[str]:
    single, seeds = is_single(metrics), ", ".join(map(str, metrics["seeds"]))
    number = f"{count(about_task(metrics, pair.task)['num_test'])} test questions"
    of_run = f"{pair.task}: {number}, student {pair.student}, seed {seeds}"
    yield wrap(of_run if single else f"{pair.title}: {number}, seeds {seeds}")
    yield plain_table(result_table(metrics, pair, terminal=True))
    yield plain_table(standing_table(metrics, pair, terminal=True))
    if any(row["correct"] != row["correct_strict"] for row in of_pair(metrics, "rows", pair)):
        yield wrap("Acc counts answers that are read loosely, too; right are only those that an output states.")
    if not (likelihood := likelihood_table(metrics, pair, terminal=True)).is_empty:
        yield wrap(f"{pair.title}: what students write, and the most probable of the possible answers")
        yield plain_table(likelihood)
    if not (gains := gain_table(metrics, pair, terminal=True)).is_empty:
        yield wrap(f"{pair.title}: how much texts raise the log-probability of the gold answer behind them")
        yield plain_table(gains)
    comparisons = comparison_table(metrics, pair, terminal=True)
    if not comparisons.is_empty:
        yield plain_table(comparisons)
        yield wrap(f"{pair.title}: the same among the questions that both answered")
        yield plain_table(answered_table(metrics, pair, terminal=True))
    if not (forgetting := forgetting_table(metrics, pair)).is_empty:
        yield wrap(f"{pair.title}: held-out texts before any training and after each")
        yield plain_table(forgetting)
        yield from (wrap(f"{each.label}: {each.text}") for each in forgetting_findings(metrics, pair))
    for group in ablation_groups(metrics, pair):
        yield wrap(f"{pair.title}: {group}")
        yield plain_table(ablation_table(metrics, pair, group=group, terminal=True))
        if not (standings := ablated_standings(metrics, pair, group=group)).is_empty:
            yield plain_table(standings)
    if single:
        yield from map(judging_text, of_pair(metrics, "judged", pair))
    labels, first = DOUBTS if single else (*DOUBTS, CAUTION), activation_finding(metrics, pair) if single else None
    others = (finding for finding in pair_findings(metrics, pair) if finding.label in labels and finding != first)
    for finding in (*([] if first is None else [first]), *others):
        yield wrap(f"{finding.label}: {finding.text}".replace(MINUS, "-"))
