"""What the report of a grid shows, in its order: sections of tables and figures. One without content is left out."""

from collections.abc import Sequence

from sert.report import grid_tables as tables
from sert.report.grid_ablations import ablation_groups, ablation_table, between_table
from sert.report.grid_exhibits import exhibits
from sert.report.grid_parts import Section, Titled, filled, joined
from sert.report.grid_rows import Metrics, Pair, pairs_of
from sert.report.paper_table import paper_table


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
    notes = [
        "Means over seeds ± their standard deviation. The interval is that of the mean over seeds; where there is one "
        "seed, that over questions.",
    ]
    return Section("results", "Results", notes, tables=[*filled(overview), *filled(each)])


def _comparisons(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    made = [
        each
        for pair in pairs
        for each in (
            Titled(pair.title, tables.comparison_table(metrics, pair)),
            Titled(f"{pair.title}: means", tables.mean_table(metrics, pair)),
        )
    ]
    notes = [
        "Paired on the same questions; positive when the first is higher. A detectable difference would be found four "
        "times of five with as many questions that disagree.",
    ]
    return Section("comparisons", "Comparisons", notes, tables=filled(made))


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
        "54.65, 56.34, 22.63 and 26.03 % are no k of its test questions; its GPT-3.5 row is no number of the test set. "
        "What its Len counts could not be identified.",
    ]
    made = (Titled(about["task"], paper_table(metrics, about["task"])) for about in metrics["tasks"])
    return Section("paper", "Beside the paper", notes, tables=filled(made))


def _ablations(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    made = []
    for pair in pairs:
        for group in ablation_groups(metrics, pair):
            title = f"{pair.title}: {group}"
            made.append(Titled(title, ablation_table(metrics, pair, group=group)))
            made.append(Titled(f"{title}, between variants", between_table(metrics, pair, group=group)))
    notes = ["Each variant changes one thing of the main student; differences are variant minus main, paired."]
    return Section("ablations", "Ablations", notes, tables=filled(made))


def _seeds(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    made = (Titled(pair.title, tables.seed_table(metrics, pair)) for pair in pairs)
    return Section("seeds", "Every seed", ["All that was tested, one by one."], folded=filled(made))
