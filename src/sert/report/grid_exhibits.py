"""The exhibits of a grid that are figures first: mining and filtering, outputs, learning curves, the judge."""

from collections.abc import Callable, Iterator, Sequence

from matplotlib.figure import Figure

from sert.report import cells
from sert.report.figures import funnel_figure
from sert.report.grid_curves import amounts_figure, binned_figure, steps_figure
from sert.report.grid_figures import (
    bands_figure,
    budget_figure,
    filtering_figure,
    first_token_bins_figure,
    first_token_figure,
    judged_figure,
)
from sert.report.grid_numbers import number_table, scored_by
from sert.report.grid_parts import Drawing, Section, Titled, file_names, filled, joined
from sert.report.grid_rows import Metrics, Pair, Row, main_funnel, of_pair, section
from sert.report.grid_tables import funnel_table, selection_table
from sert.report.judging import CRITERIA, PLANTED, judging_table, judging_trust
from sert.report.table import Table
from sert.report.verdict import doubts


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


def _drawings(
    metrics: Metrics,
    pairs: Sequence[Pair],
    *,
    rows: str,
    caption: str,
    draw: Callable[[list[Row]], Figure],
    name: str = "",
) -> list[Drawing]:
    """Draw one figure of a section's rows for each pair that has any."""
    names = file_names(pair.title for pair in pairs)
    found = ((pair, of_pair(metrics, rows, pair)) for pair in pairs)
    return [
        Drawing(f"{name or rows.replace('_', '-')}-{names[pair.title]}", pair.title, caption, draw(each))
        for pair, each in found
        if each
    ]


def _by_scorer(metrics: Metrics, pairs: Sequence[Pair], *, rows: str) -> Iterator[tuple[Pair, str, list[Row]]]:
    """Part the rows of each pair by who scored, and by which criterion."""
    for pair in pairs:
        found = of_pair(metrics, rows, pair)
        for scorer in dict.fromkeys(scored_by(row) for row in found):
            yield pair, scorer, [row for row in found if scored_by(row) == scorer]


def _scored(
    metrics: Metrics, pairs: Sequence[Pair], *, rows: str, caption: str, draw: Callable[[list[Row]], Figure]
) -> list[Drawing]:
    parts = list(_by_scorer(metrics, pairs, rows=rows))
    names = file_names(f"{pair.title} {scorer}" for pair, scorer, _ in parts)
    return [
        Drawing(f"{rows}-{names[f'{pair.title} {scorer}']}", f"{pair.title}, scored by {scorer}", caption, draw(each))
        for pair, scorer, each in parts
    ]


def _doubts(metrics: Metrics, *, rows: str) -> list[str]:
    """Warn of judges whose scores a section shows."""
    judged = any(row["scorer"] == "judge" for row in section(metrics, rows))
    return doubts(section(metrics, "judged")) if judged else []


def _bands(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = [
        "Share of questions with at least one path in each band of scores (0 to 10), by where the paths come from: one "
        "branch of the first token, all branches together, or sampling without branches. The paper's figure 1.",
        *_doubts(metrics, rows="bands"),
    ]
    caption = "Percentage of questions; a column is a band of scores."
    drawings = _scored(metrics, pairs, rows="bands", caption=caption, draw=bands_figure)
    return Section("bands", "Latent reasoning", notes, drawings=drawings, folded=_numbers(metrics, pairs, bands=""))


def _first_tokens(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["How many paths the filter keeps, by the student's probability of the token that the path begins with."]
    true = any(row["true_share"] is not None for row in section(metrics, "first_tokens"))
    caption = "Share of each branch's paths that is kept; in brackets the mean probability of its first token."
    branches = _drawings(
        metrics,
        pairs,
        rows="first_tokens",
        caption=f"{caption} Diamonds: the share that is true." if true else caption,
        draw=first_token_figure,
    )
    caption = "Share of paths that is kept, by the probability of their first token; at the right the number of paths."
    bins = _drawings(metrics, pairs, rows="first_token_bins", caption=caption, draw=first_token_bins_figure)
    folded = _numbers(metrics, pairs, first_tokens=": branches", first_token_bins=": probabilities")
    return Section("first-tokens", "First tokens", notes, drawings=[*branches, *bins], folded=folded)


def _budget(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["The same number of paths a question, spent on branches or on samples."]
    made = joined([(pair, number_table(metrics, pair, section="budget")) for pair in pairs])
    made += joined([(pair, _path_comparisons(metrics, pair, of="main")) for pair in pairs])
    caption = (
        "Upper, blue bars: share of paths kept; lower, orange bars: share of questions with at least one such path."
    )
    drawings = _drawings(metrics, pairs, rows="budget", caption=caption, draw=budget_figure)
    return Section("budget", "Equal budgets", notes, tables=made, drawings=drawings)


def _path_comparisons(metrics: Metrics, pair: Pair, *, of: str) -> Table:
    rows = [row for row in section(metrics, "paths") if row["a"] == of]
    return number_table({**metrics, "paths": rows}, pair, section="paths")


def _funnel(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["What is left of the mined paths of all seeds after each rule, in the order in which the rules are asked."]
    made = (Titled(pair.title, funnel_table(metrics, pair)) for pair in pairs)
    main = {**metrics, "funnel": [row for pair in pairs for row in main_funnel(metrics, pair)]}
    caption = "Paths that are left: their number, and their share as bars."
    if any(row["true_share"] is not None for row in main["funnel"]):
        caption += " Diamonds: the share of them that is true."
    drawings = _drawings(main, pairs, rows="funnel", caption=caption, draw=funnel_figure)
    return Section("funnel", "Filter", notes, drawings=drawings, folded=filled(made))


def _filtering(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = [
        "Scores of the paths that are left as the rules are added. The paper's figure 4.",
        *_doubts(metrics, rows="filtering"),
    ]
    caption = "Share of the paths in each band of scores, in percent; at the right their mean score."
    drawings = _scored(metrics, pairs, rows="filtering", caption=caption, draw=filtering_figure)
    folded = _numbers(metrics, pairs, filtering="")
    return Section("filtering", "Scores after each rule", notes, drawings=drawings, folded=folded)


def _selection(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = [
        "Of each question's surviving paths the least repetitive is trained on, followed by the gold answer, whatever "
        "the path itself concludes. Counted over all seeds.",
    ]
    made = joined([(pair, selection_table(metrics, pair)) for pair in pairs])
    made += joined([(pair, _path_comparisons(metrics, pair, of="selected")) for pair in pairs])
    return Section("selection", "Selection", notes, tables=made)


def _outputs(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["Accuracy of outputs by the length of their reasoning, and by how much of it repeats."]
    caption = "Accuracy with 95 % intervals, over the middle of each bin, by "
    lengths = _drawings(
        metrics,
        pairs,
        rows="by_length",
        caption=f"{caption}the length of the reasoning.",
        draw=lambda rows: binned_figure(rows, label="reasoning, tokens"),
    )
    repetition = _drawings(
        metrics,
        pairs,
        rows="by_repetition",
        caption=f"{caption}the share of words that repeat.",
        draw=lambda rows: binned_figure(rows, label="repetition"),
    )
    folded = _numbers(metrics, pairs, by_length=": length", by_repetition=": repetition")
    return Section("outputs", "Length and repetition", notes, drawings=[*lengths, *repetition], folded=folded)


def _curves(metrics: Metrics, pairs: Sequence[Pair]) -> Section:
    notes = ["Accuracy along the training, and with fewer rationales of the teacher."]
    caption = (
        "Accuracy on test questions along the training, mean over seeds and one standard deviation; dashes: on dev "
        "questions."
    )
    steps = _drawings(metrics, pairs, rows="steps", caption=caption, draw=steps_figure)
    caption = "Accuracy after the last epoch by the rationales trained on, mean over seeds and one standard deviation."
    several = [pair for pair in pairs if len({row["rationales"] for row in of_pair(metrics, "amounts", pair)}) > 1]
    amounts = _drawings(metrics, several, rows="amounts", caption=caption, draw=amounts_figure)
    folded = _numbers(metrics, pairs, steps=": training steps", amounts=": rationales")
    made = joined([(pair, number_table(metrics, pair, section="amount_comparisons")) for pair in pairs])
    return Section("curves", "Learning curves", notes, tables=made, drawings=[*steps, *amounts], folded=folded)


def _judged(metrics: Metrics) -> Section:
    rows = section(metrics, "judged")
    notes = [
        "Mean scores of 0 to 10 ± half their 95 % interval. Planted texts are obviously good or bad and show what the "
        "judge's scores are worth; a reply without four readable scores is failed, never a score.",
        *dict.fromkeys(next(judging_trust(row)) for row in rows),
    ]
    made = (
        Titled(
            f"{row['student']} on {row['task']}, seed {row['seed']}, judged by {row['judge']}",
            judging_table(row),
            list(judging_trust(row)),
        )
        for row in rows
    )
    return Section("judged", "Judge", notes, drawings=_judged_drawings(rows), folded=filled(made))


def _judged_drawings(rows: Sequence[Row]) -> list[Drawing]:
    """Draw the scores of all students and methods of a task by one judge: the paper's figure 3."""
    names = file_names(f"{row['task']} {row['judge']}" for row in rows)
    drawings = []
    for task, judge in dict.fromkeys((row["task"], row["judge"]) for row in rows):
        scores: dict[str, dict[str, list[Row]]] = {}
        methods: dict[str, str] = {}
        for row in (each for each in rows if (each["task"], each["judge"]) == (task, judge)):
            for source in (each for each in row["rows"] if each["source"] not in PLANTED):
                name = f"{row['student']} {cells.method_name(source['source'])}"
                methods[name] = source["source"]
                for criterion in CRITERIA:
                    scores.setdefault(name, {}).setdefault(criterion, []).append(source[criterion])
        if scores:
            figure = judged_figure(scores, list(methods.values()))
            caption = f"Mean scores by {judge}. One seed: with 95 % intervals; several: each as a small dot below."
            drawings.append(Drawing(f"judged-{names[f'{task} {judge}']}", task, caption, figure))
    return drawings
