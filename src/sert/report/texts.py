"""All tables of a report, as Markdown and as plain text for a terminal."""

from sert.report import cells
from sert.report.grid_texts import grid_terminal_table
from sert.report.judging import judging_table, judging_text
from sert.report.table import (
    Metrics,
    Table,
    comparison_table,
    epoch_table,
    funnel_table,
    markdown_cell,
    markdown_table,
    of_task,
    plain_table,
    result_table,
    wrap,
)


def markdown_tables(metrics: Metrics) -> str:
    """Write the results, the comparisons and the funnel of every task as Markdown."""
    parts = [f"# {markdown_cell(str(metrics['name']))}"]
    parts.append(f"Student {markdown_cell(str(metrics['student']))}, seed {markdown_cell(str(metrics['seed']))}.")
    for about in metrics["tasks"]:
        task = about["task"]
        parts += [
            f"## {markdown_cell(task)}",
            f"{cells.count(about['num_train'])} train and {cells.count(about['num_test'])} test questions.",
        ]
        titled = (
            ("Results", result_table(metrics, about)),
            ("Comparisons", comparison_table(metrics, task)),
            ("Choice of the epoch, accuracy in %", epoch_table(metrics, task)),
            ("Scores of the judge", _judged(metrics, task)),
            ("Paths that the rules left", funnel_table(metrics, task)),
        )
        for title, table in titled:
            if not table.is_empty:
                parts += [f"### {title}", markdown_table(table)]
    return "\n\n".join(parts) + "\n"


def terminal_table(metrics: Metrics) -> str:
    """Write the results and comparisons as plain text: no colour codes, at most 100 columns."""
    if "seed" not in metrics:
        return grid_terminal_table(metrics)
    parts = []
    for about in metrics["tasks"]:
        title = f"{about['task']}: {about['num_test']} test questions, student {metrics['student']}"
        parts += [wrap(f"{title}, seed {metrics['seed']}"), plain_table(result_table(metrics, about))]
        comparisons = comparison_table(metrics, about["task"])
        if not comparisons.is_empty:
            parts.append(plain_table(Table(comparisons.header[:-2], [row[:-2] for row in comparisons.rows])))
        for summary in of_task(metrics, "judged", about["task"]):
            parts.append(judging_text(summary))
    if metrics["warnings"]:
        parts.append("\n".join(wrap(f"Warning: {warning}") for warning in metrics["warnings"]))
    return "\n\n".join(parts)


def _judged(metrics: Metrics, task: str) -> Table:
    rows = of_task(metrics, "judged", task)
    return judging_table(rows[0]) if rows else Table((), [])
