"""The results: accuracies, comparisons of methods, the choice of the epoch, and every seed."""

from collections.abc import Mapping, Sequence

from sert.config.grid import MAIN
from sert.report.columns import ENDINGS, LIKELIHOOD, MEASURES, PERPLEXITIES, result_columns
from sert.report.comparing import COMPARED_BY_ANSWER, comparison_columns
from sert.report.figures.bars import accuracy_figure, difference_figure
from sert.report.format import MISSING, percent, points, points_range, spread
from sert.report.names import EPOCHS, TEST_BEST, Row, epoch_heading, flagged, method_name
from sert.report.parts import CaptionedFigure, ReportSection, TitledTable, by_pair, captioned, filled, joined
from sert.report.rows import (
    Metrics,
    Pair,
    about_task,
    gain_of_test_best,
    is_single,
    method_comparisons,
    of_pair,
    pairs_of,
    reported_rows,
)
from sert.report.sections.numbers import number_table
from sert.report.table import Table, build_table


def result_table(metrics: Metrics, pair: Pair, *, terminal: bool = False) -> Table:
    """Build the result table of a student on a task: a row a method, then the lines that need no student."""
    single = is_single(metrics)
    table = build_table(reported_rows(metrics, pair), result_columns(single=single), terminal=terminal)
    lines = lines_without_student(about_task(metrics, pair.task))
    found = [row["detectable"] for row in method_comparisons(metrics, pair) if row["detectable"] is not None]
    if found and not single:
        lines.append(("Smallest detectable difference (one seed, uncorrected), points", points_range(found)))
    blanks = ("",) * (len(table.header) - 2)
    table.rows.extend((*line, *blanks) for line in lines)
    return table


def lines_without_student(about: Row) -> list[tuple[str, str]]:
    """Name what needs no student, with how often it is right."""
    majority = f"Majority class: {about['majority_answer']}"
    return [(majority, percent(about["majority_accuracy"])), ("Chance", percent(about["chance_accuracy"]))]


def overview_table(metrics: Metrics, task: str, measure: str = "accuracy") -> Table:
    """Put a measure of all students on a task side by side; empty for a single student."""
    students = [pair for pair in pairs_of(metrics) if pair.task == task]
    if len(students) < 2:
        return Table((), [])
    by_student = [
        {flagged(method_name(row["method"]), row): row for row in reported_rows(metrics, pair)} for pair in students
    ]
    names = dict.fromkeys(name for rows in by_student for name in rows)
    rows = [(name, *(spread(rows[name][measure]) if name in rows else "" for rows in by_student)) for name in names]
    lines = [(name, *[share] * len(students)) for name, share in lines_without_student(about_task(metrics, task))]
    heading = next(each.heading for each in MEASURES if each.key == measure)
    return Table((heading, *(pair.student for pair in students)), [*rows, *lines])


def choice_table(metrics: Metrics, pair: Pair) -> Table:
    """Put the choices of the epoch side by side, a row a method; empty where there is only one choice."""
    by_method: dict[str, dict[str, Row]] = {}
    for row in of_pair(metrics, "summary", pair):
        if row["variant"] == MAIN and row["epoch_choice"] is not None:
            name = flagged(method_name(row["method"]), {**row, "epoch_choice": None})
            by_method.setdefault(name, {})[row["epoch_choice"]] = row
    found = {choice for rows in by_method.values() for choice in rows}
    choices = [*(each for each in EPOCHS if each in found), *sorted(found - EPOCHS.keys())]
    if len(choices) < 2:
        return Table((), [])
    table = Table(("Method", *map(epoch_heading, choices), "Test-best above reported, points"), [])
    for name, rows in by_method.items():
        reported = next((row for row in rows.values() if row["primary"]), None)
        written = (_choice_cell(rows.get(choice)) for choice in choices)
        table.rows.append((name, *written, points(gain_of_test_best(rows.get(TEST_BEST), reported))))
    return table


def _choice_cell(row: Row | None) -> str:
    if row is None:
        return MISSING
    return f"{spread(row['accuracy'])}, reported" if row["primary"] else spread(row["accuracy"])


def comparison_table(metrics: Metrics, pair: Pair, *, terminal: bool = False) -> Table:
    """Build the table of paired differences between methods."""
    columns = comparison_columns(single=is_single(metrics))
    return build_table(method_comparisons(metrics, pair), columns, terminal=terminal)


def answered_table(metrics: Metrics, pair: Pair, *, terminal: bool = False) -> Table:
    """Build the table of the same differences among the questions that both sides answered."""
    return build_table(method_comparisons(metrics, pair), COMPARED_BY_ANSWER, terminal=terminal)


def results_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out accuracies, each method of each student."""
    overview = [TitledTable(about["task"], overview_table(metrics, about["task"])) for about in metrics["tasks"]]
    each = by_pair(pairs, lambda pair: result_table(metrics, pair))
    lines = "the 95 % interval" if is_single(metrics) else "the 95 % intervals over questions of all seeds"
    caption = (
        f"Accuracy; lines: {lines}; small dots: each seed; dashes: the majority class; green: right of those that "
        "state an answer."
    )
    figures = {
        pair: accuracy_figure(rows, majority=about_task(metrics, pair.task)["majority_accuracy"])
        for pair in pairs
        if (rows := reported_rows(metrics, pair))
    }
    notes = [
        "Means over seeds ± their standard deviation. “95 %, questions” spans the intervals of all seeds: how far "
        "other test questions could move a seed's accuracy. “95 %, seeds” is Student's interval of the mean: how far "
        "other trainings could move it, on these questions.",
    ]
    if is_single(metrics):
        notes = ["The 95 % interval says how far other test questions could move an accuracy."]
    accuracies = captioned(pairs, figures, name="accuracy", caption=caption)
    return ReportSection("results", "Results", notes, tables=[*filled(overview), *each], figures=accuracies)


def differences(comparisons: Mapping[Pair, Sequence[tuple[str, Row]]], *, name: str) -> list[CaptionedFigure]:
    """Draw comparisons, of each pair a figure, each with what it is called."""
    figures = {pair: difference_figure(named) for pair, named in comparisons.items() if named}
    caption = (
        "Differences in points with 95 % intervals; hollow: not significant after Holm's correction; green: among the "
        "questions that both answered."
    )
    return captioned(list(comparisons), figures, name=name, caption=caption)


def comparisons_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out the comparisons of methods."""
    of_pairs = {pair: method_comparisons(metrics, pair) for pair in pairs}
    named = {
        pair: [(f"{method_name(row['a'])} vs {method_name(row['b'])}", row) for row in rows]
        for pair, rows in of_pairs.items()
    }
    tables = by_pair(pairs, lambda pair: comparison_table(metrics, pair))
    answered = by_pair(pairs, lambda pair: answered_table(metrics, pair))
    tables += [each._replace(title=f"{each.title}: among the questions that both answered") for each in answered]
    means = joined(pairs, lambda pair: number_table(metrics, pair, "means"))
    tables += [each._replace(title=f"{each.title}: means") for each in means]
    of_seeds = "" if is_single(metrics) else ", “95 %, seeds” about other seeds with these questions"
    notes = [
        "Paired on the same questions; positive when the first is higher. p and “95 % interval” are about other "
        f"questions with these trained students{of_seeds}. A detectable difference would be found four times of five "
        "with one seed, before correction, and with as many questions that disagree.",
        "Among the questions that both answered: where both outputs state an answer, by the strict reading. Only form: "
        "significant over all, but not among these, which make up less than half of the difference. At chance: neither "
        "side is above the majority class and guessing, over all or among its answers, by its 95 % interval.",
        *dict.fromkeys(f"Test: {row['test']}." for rows in named.values() for _, row in rows),
    ]
    figures = differences(named, name="comparisons")
    return ReportSection("comparisons", "Comparisons", notes, tables=tables, figures=figures)


def likelihood_table(metrics: Metrics, pair: Pair, *, terminal: bool = False) -> Table:
    """Put the answers that a student finds the most probable beside those that it writes."""
    rows = [row for row in of_pair(metrics, "likelihood", pair) if row["variant"] == MAIN]
    table = build_table(rows, LIKELIHOOD, terminal=terminal)
    blanks = ("",) * (len(table.header) - 2)
    lines = lines_without_student(about_task(metrics, pair.task)) if rows else []
    table.rows.extend((*line, *blanks) for line in lines)
    return table


def likelihood_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out how often the most probable of the possible answers is right."""
    notes = [
        "A written answer can be wrong because the student cannot do the task, or because it does not write the form "
        "that is read. The most probable of the possible answers needs no form. Words: yes or no, or the text of a "
        "choice, behind the prompt; by the log-probability a character, or by its sum, which favours short ones. "
        "Letters: where the prompt shows them. Differences to what the student writes are paired by question, and "
        "Holm's correction is for all of them.",
    ]
    tables = by_pair(pairs, lambda pair: likelihood_table(metrics, pair))
    return ReportSection("likelihood", "Answers by likelihood", notes, tables=tables)


def forgetting_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out what trainings cost on held-out texts of another kind."""
    notes = [
        "Held-out texts of another kind than is trained on, scored by the student before any training and by each "
        "trained student after its last step. Right endings: how often the right one of several endings has the "
        "highest log-probability a character. Perplexity: of plain texts, over all their tokens; its test is that of "
        "the log-probability a token. Tests are paired by text, and Holm's correction is for all of them.",
    ]
    tables = []
    for pair in pairs:
        rows = of_pair(metrics, "forgetting", pair)
        for what, kind, columns in (("right endings", "choices", ENDINGS), ("plain texts", "texts", PERPLEXITIES)):
            if any(row[kind] is not None for row in rows):
                tables.append(TitledTable(f"{pair.title}: {what}", build_table(rows, columns)))
    return ReportSection("forgetting", "Forgetting", notes, tables=tables)


def forgetting_table(metrics: Metrics, pair: Pair) -> Table:
    """Put both kinds of held-out texts in one table, for a terminal."""
    return build_table(of_pair(metrics, "forgetting", pair), [*ENDINGS, *PERPLEXITIES[1:]], terminal=True)


def epochs_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out what each choice of the epoch comes to."""
    notes = [
        "The same trainings tested after their last epoch, after the epoch that is best on dev questions, and after "
        "the one that is best on the test set. That one is flagged: it was chosen by the answers it is graded by.",
    ]
    tables = joined(pairs, lambda pair: choice_table(metrics, pair))
    return ReportSection("epochs", "Choice of the epoch", notes, tables=tables)


def seeds_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out every student that was tested, a row a method, variant, seed and epoch."""
    folded = by_pair(pairs, lambda pair: number_table(metrics, pair, "rows"))
    return ReportSection("seeds", "Every seed", ["All that was tested, one by one."], folded=folded)
