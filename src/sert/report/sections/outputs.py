"""What the outputs show: accuracy by length and repetition, learning curves, and what a judge says."""

from collections.abc import Sequence
from functools import partial

from sert.report.figures.bars import judged_figure
from sert.report.figures.curves import amounts_figure, binned_figure, steps_figure
from sert.report.judging import PLANTED, judging_table, judging_trust
from sert.report.names import Row
from sert.report.parts import CaptionedFigure, ReportSection, TitledTable, drawn_section, file_names, filled, joined
from sert.report.rows import Metrics, Pair, of_pair, section
from sert.report.sections.numbers import number_table, numbers_behind


def outputs_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out accuracy by the length of the reasoning, and by how much of it repeats."""
    notes = ["Accuracy of outputs by the length of their reasoning, and by how much of it repeats."]
    figures = []
    for rows, by, label in (
        ("by_length", "the length of the reasoning", "reasoning, tokens"),
        ("by_repetition", "the share of words that repeat", "repetition"),
    ):
        caption = f"Accuracy with 95 % intervals, over the middle of each bin, by {by}."
        figures += drawn_section(metrics, pairs, rows, caption=caption, draw=partial(binned_figure, label=label))
    folded = numbers_behind(metrics, pairs, by_length=": length", by_repetition=": repetition")
    return ReportSection("outputs", "Length and repetition", notes, figures=figures, folded=folded)


def curves_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out accuracy along the training, and with fewer rationales."""
    notes = ["Accuracy along the training, and with fewer rationales of the teacher."]
    caption = (
        "Accuracy on test questions along the training, mean over seeds and one standard deviation; dashes: on dev "
        "questions."
    )
    figures = drawn_section(metrics, pairs, "steps", caption=caption, draw=steps_figure)
    caption = "Accuracy after the last epoch by the rationales trained on, mean over seeds and one standard deviation."
    several = [pair for pair in pairs if len({row["rationales"] for row in of_pair(metrics, "amounts", pair)}) > 1]
    figures += drawn_section(metrics, several, "amounts", caption=caption, draw=amounts_figure)
    folded = numbers_behind(metrics, pairs, steps=": training steps", amounts=": rationales")
    tables = joined(pairs, lambda pair: number_table(metrics, pair, "amount_comparisons"))
    return ReportSection("curves", "Learning curves", notes, tables=tables, figures=figures, folded=folded)


def judged_section(metrics: Metrics) -> ReportSection:
    """Lay out what judges say of the outputs, and how far they can be trusted."""
    rows = section(metrics, "judged")
    notes = [
        "Mean scores of 0 to 10 ± half their 95 % interval. Planted texts are obviously good or bad and show what the "
        "judge's scores are worth; a reply without four readable scores is failed, never a score.",
        *dict.fromkeys(next(judging_trust(row)) for row in rows),
    ]
    made = (
        TitledTable(
            f"{row['student']} on {row['task']}, seed {row['seed']}, judged by {row['judge']}",
            judging_table(row),
            list(judging_trust(row)),
        )
        for row in rows
    )
    return ReportSection("judged", "Judge", notes, figures=_judged_figures(rows), folded=filled(made))


def _judged_figures(rows: Sequence[Row]) -> list[CaptionedFigure]:
    """Draw the scores of all students and methods of a task by one judge: the paper's figure 3."""
    names = file_names(f"{row['task']} {row['judge']}" for row in rows)
    figures = []
    for task, judge in dict.fromkeys((row["task"], row["judge"]) for row in rows):
        scores: dict[tuple[str, str], list[Row]] = {}
        for row in (each for each in rows if (each["task"], each["judge"]) == (task, judge)):
            for source in (each for each in row["rows"] if each["source"] not in PLANTED):
                scores.setdefault((row["student"], source["source"]), []).append(source)
        if scores:
            caption = f"Mean scores by {judge}. One seed: with 95 % intervals; several: each as a small dot below."
            name = f"judged-{names[f'{task} {judge}']}"
            figures.append(CaptionedFigure(name, task, caption, judged_figure(scores)))
    return figures
