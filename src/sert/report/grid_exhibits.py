"""The exhibits of a grid that are figures first: mining and filtering, outputs, learning curves, the judge."""

from collections.abc import Sequence

from sert.report.grid_numbers import number_table
from sert.report.grid_parts import Section, Titled, filled, joined
from sert.report.grid_rows import Metrics, Pair, section
from sert.report.grid_tables import funnel_table, selection_table
from sert.report.judging import judging_table, judging_trust


def exhibits(metrics: Metrics, pairs: Sequence[Pair]) -> list[Section]:
    """Lay out these exhibits, the empty ones too."""
    return [
        _bands(metrics, pairs),
        _first_tokens(metrics, pairs),
        _budget(metrics, pairs),
        _funnel(metrics, pairs),
        _filtering(metrics, pairs),
        _selection(metrics, pairs),
        _outputs(metrics, pairs),
        _curves(metrics, pairs),
        _judged(metrics),
    ]


def _numbers(metrics: Metrics, pairs: Sequence[Pair], **sections: str) -> list[Titled]:
    """Lay out the numbers behind figures: section -> what is added to the title."""
    return filled(
        Titled(f"{pair.title}{added}", number_table(metrics, pair, section=name))
        for pair in pairs
        for name, added in sections.items()
    )


def _bands(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = [
        "Share of questions with at least one path in each band of scores (0 to 10), by where the paths come from.",
    ]
    return Section("bands", "Latent reasoning", notes, folded=_numbers(metrics, pairs, bands=""))


def _first_tokens(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["How many paths the filter keeps, by the student's probability of the token that the path begins with."]
    folded = _numbers(metrics, pairs, first_tokens=": branches", first_token_bins=": probabilities")
    return Section("first-tokens", "First tokens", notes, folded=folded)


def _budget(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["The same number of paths a question, spent on branches or on samples."]
    made = joined([(pair, number_table(metrics, pair, section="budget")) for pair in pairs])
    return Section("budget", "Equal budgets", notes, tables=made)


def _funnel(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["What is left of the mined paths of all seeds after each rule, in the order in which the rules are asked."]
    made = (Titled(pair.title, funnel_table(metrics, pair)) for pair in pairs)
    return Section("funnel", "Filter", notes, folded=filled(made))


def _filtering(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["Scores of the paths that are left as the rules are added."]
    return Section("filtering", "Scores after each rule", notes, folded=_numbers(metrics, pairs, filtering=""))


def _selection(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = [
        "Of each question's surviving paths the least repetitive is trained on, followed by the gold answer, whatever "
        "the path itself concludes. Counted over all seeds.",
    ]
    made = joined([(pair, selection_table(metrics, pair)) for pair in pairs])
    return Section("selection", "Selection", notes, tables=made)


def _outputs(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["Accuracy of outputs by the length of their reasoning and by how much of it repeats."]
    folded = _numbers(metrics, pairs, by_length=": length", by_repetition=": repetition")
    return Section("outputs", "Length and repetition", notes, folded=folded)


def _curves(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["Accuracy along the training, and with fewer rationales of the teacher."]
    folded = _numbers(metrics, pairs, steps=": training steps", amounts=": rationales")
    return Section("curves", "Learning curves", notes, folded=folded)


def _judged(metrics: Metrics) -> Section:
    notes = [
        "Mean scores of 0 to 10 ± half their 95 % interval. Planted texts are obviously good or bad and show what the "
        "judge's scores are worth; a reply without four readable scores is failed, never a score.",
        *dict.fromkeys(next(judging_trust(row)) for row in section(metrics, "judged")),
    ]
    made = (
        Titled(
            f"{row['student']} on {row['task']}, seed {row['seed']}, judged by {row['judge']}",
            judging_table(row),
            list(judging_trust(row)),
        )
        for row in section(metrics, "judged")
    )
    return Section("judged", "Judge", notes, folded=filled(made))
