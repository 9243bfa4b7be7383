"""What the report of a grid shows, in its order: sections of tables and figures. One without content is left out."""

from collections.abc import Sequence

from sert.report import cells
from sert.report import grid_tables as tables
from sert.report.grid_ablations import ablated, ablation_groups, ablation_table, between_table
from sert.report.grid_exhibits import exhibits
from sert.report.grid_figures import accuracy_figure, difference_figure
from sert.report.grid_parts import Drawing, Section, Titled, file_names, filled, joined
from sert.report.grid_rows import Metrics, Pair, Row, about_task, main_rows, method_comparisons, pairs_of
from sert.report.paper_table import paper_table
from sert.report.verdict import is_significant


def grid_sections(metrics: Metrics) -> list[Section]:
    """Lay out every exhibit that the metrics have numbers for."""
    pairs = pairs_of(metrics)
    made = (
        _results(metrics, pairs),
        _comparisons(metrics, pairs),
        _epochs(metrics, pairs),
        _paper(metrics),
        _ablations(metrics, pairs),
        *exhibits(metrics, pairs),
        _seeds(metrics, pairs),
    )
    return [each for each in made if not each.is_empty]


def _results(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    overview = (Titled(about["task"], tables.overview_table(metrics, about["task"])) for about in metrics["tasks"])
    each = (Titled(pair.title, tables.result_table(metrics, pair)) for pair in pairs)
    drawings = [
        _accuracy(metrics, pair, name=name)
        for pair, name in zip(pairs, _names(pairs), strict=True)
        if main_rows(metrics, pair)
    ]
    notes = [
        "Means over seeds ± their standard deviation. “95 %, questions” spans the intervals of all seeds: how far "
        "other test questions could move a seed's accuracy. “95 %, seeds” is Student's interval of the mean: how far "
        "other trainings could move it, on these questions.",
    ]
    return Section("results", "Results", notes, tables=[*filled(overview), *filled(each)], drawings=drawings)


def _names(pairs: Sequence[Pair]) -> list[str]:
    return list(file_names(pair.title for pair in pairs).values())


def _accuracy(metrics: Metrics, pair: Pair, *, name: str) -> Drawing:
    rows = [{**row, "interval": tables.interval_of(metrics, row)} for row in main_rows(metrics, pair)]
    figure = accuracy_figure(rows, majority=about_task(metrics, pair.task)["majority_accuracy"])
    caption = (
        "Accuracy; lines: the 95 % intervals over questions of all seeds; small dots: each seed; dashes: the majority "
        "class."
    )
    return Drawing(f"accuracy-{name}", pair.title, caption, figure)


def _differences(pair: Pair, rows: Sequence[Row], *, names: Sequence[str], name: str) -> list[Drawing]:
    """Draw comparisons, if there are any."""
    if not rows:
        return []
    figure = difference_figure(rows, names=names, significant=[is_significant(row) for row in rows])
    caption = "Differences in points with 95 % intervals; hollow: not significant after Holm's correction."
    return [Drawing(name, pair.title, caption, figure)]


def _comparisons(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    compared = filled(Titled(pair.title, tables.comparison_table(metrics, pair)) for pair in pairs)
    means = joined([(pair, tables.mean_table(metrics, pair)) for pair in pairs])
    drawings = []
    for pair, name in zip(pairs, _names(pairs), strict=True):
        rows = method_comparisons(metrics, pair)
        names = [f"{cells.method_name(row['a'])} vs {cells.method_name(row['b'])}" for row in rows]
        drawings += _differences(pair, rows, names=names, name=f"comparisons-{name}")
    tests = dict.fromkeys(str(row["test"]) for pair in pairs for row in method_comparisons(metrics, pair))
    notes = [
        "Paired on the same questions; positive when the first is higher. p and “95 % interval” are about other "
        "questions with these trained students, “95 %, seeds” about other seeds with these questions. A detectable "
        "difference would be found four times of five with one seed, before correction, and with as many questions "
        "that disagree.",
        *(f"Test: {test}." for test in tests),
    ]
    made = [*compared, *(each._replace(title=f"{each.title}: means") for each in means)]
    return Section("comparisons", "Comparisons", notes, tables=made, drawings=drawings)


def _epochs(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = [
        "The same trainings tested after their last epoch, after the epoch that is best on dev questions, and after "
        "the one that is best on the test set. That one is flagged: it was chosen by the answers it is graded by.",
    ]
    made = joined([(pair, tables.choice_table(metrics, pair)) for pair in pairs])
    return Section("epochs", "Choice of the epoch", notes, tables=made)


def _paper(metrics: Metrics) -> Section:
    notes = [
        "Ours, then the paper's (arXiv 2502.12744, Table II), then ours minus the paper's. The paper reports one seed; "
        "54.65, 56.34, 22.63 and 26.03 % are no k of its test questions; its GPT-3.5 row counts train questions too. "
        "What its Len counts could not be identified.",
    ]
    made = (Titled(about["task"], paper_table(metrics, about["task"])) for about in metrics["tasks"])
    return Section("paper", "Beside the paper", notes, tables=filled(made))


def _ablations(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    made, drawings = [], []
    for pair, name in zip(pairs, _names(pairs), strict=True):
        compared = []
        for group in ablation_groups(metrics, pair):
            title = f"{pair.title}: {group}"
            made.append(Titled(title, ablation_table(metrics, pair, group=group)))
            made.append(Titled(f"{title}, between variants", between_table(metrics, pair, group=group)))
            variants = ablated(metrics, pair, group=group)
            compared += [(each.name, each.comparison) for each in variants if each.comparison is not None]
        names, rows = [each for each, _ in compared], [row for _, row in compared]
        drawings += _differences(pair, rows, names=names, name=f"ablations-{name}")
    notes = [
        "Each variant changes one thing of the main student. Differences are variant minus main, paired on the same "
        "questions, after the last epoch and over the seeds that both were run with.",
    ]
    return Section("ablations", "Ablations", notes, tables=filled(made), drawings=drawings)


def _seeds(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    made = (Titled(pair.title, tables.seed_table(metrics, pair)) for pair in pairs)
    return Section("seeds", "Every seed", ["All that was tested, one by one."], folded=filled(made))
