"""What a student knows by likelihood beside what it writes, of the questions of a prospect.

Each question counts once. The differences from what is written are one family for Holm's correction.
"""

from collections.abc import Iterable, Mapping, Sequence

from sert.analysis.chance import chance_among, is_above
from sert.analysis.comparisons import corrected_by_key
from sert.analysis.four_numbers import share_row
from sert.analysis.likelihood import GENERATED
from sert.analysis.prospect_sample import difference_row
from sert.evaluation.likelihood import grade_likelihoods
from sert.records import Likelihood, Prediction, Question
from sert.stats.clusters import clustered_share
from sert.stats.counts import Row
from sert.tasks.possible import CLOZE


def likelihood_rows(
    questions: Sequence[Question],
    greedy: Iterable[Prediction],
    likelihoods: Iterable[Likelihood],
    *,
    drawn_from: Sequence[Question],
) -> list[Row]:
    """Share out how often the written answer, and the most probable one by each measure, is right.

    Only questions with a closed set of answers count, for the letter those whose prompt shows letters; without any
    there are no rows. A row holds `measure` (`generated`: what a greedy output states, read strictly; the others are
    those of `sert.evaluation.likelihood`), `right` (a share), `chance` (the better one of guessing and the most
    frequent answer, over the same questions), `above_chance` (the whole interval is) and `difference` from what is
    written (null for that itself, and for fewer than two questions).
    """
    graded = grade_likelihoods(likelihoods, questions)
    if not graded:
        return []
    stated = {each.question_id: each.correct_strict for each in greedy}
    written = {name: stated[name] for name in graded[CLOZE]}
    rows = [_row(measure, right, questions, drawn_from) for measure, right in {GENERATED: written, **graded}.items()]
    compared = corrected_by_key(
        {
            measure: difference_row(list(right.values()), [written[name] for name in right])
            for measure, right in graded.items()
        }
    )
    return [{**row, "difference": compared.get(row["measure"])} for row in rows]


def _row(measure: str, right: Mapping[str, bool], questions: Sequence[Question], drawn_from: Sequence[Question]) -> Row:
    asked = [question for question in questions if question.question_id in right]
    share = share_row(clustered_share(list(right.values()), [1] * len(right)))
    chance = chance_among(asked, counted=drawn_from).best
    return {"measure": measure, "right": share, "chance": chance, "above_chance": is_above(share["ci95"], chance)}


def knowing_row(rows: Sequence[Row]) -> Row | None:
    """Decide what the student knows by likelihood; None where nothing was scored.

    `level` is `more` (a measure is above chance, and above what is written as far as can be told), `written` (all
    measures are below what is written), `alike` (a measure is above chance, and none is told to be above what is
    written) or `chance` (no measure is above it). `place` is that of the highest row of this kind.
    """
    scored = [place for place, row in enumerate(rows) if row["measure"] != GENERATED]
    known = [place for place in scored if rows[place]["above_chance"]]
    told = {place: _told(rows[place]) for place in scored}
    kinds = {
        "more": [place for place in known if told[place] > 0],
        "written": scored if all(difference < 0 for difference in told.values()) else [],
        "alike": known,
        "chance": scored,
    }
    for level, places in kinds.items():
        if places:
            return {"level": level, "place": max(places, key=lambda place: rows[place]["right"]["share"])}
    return None


def _told(row: Row) -> float:
    """Give the difference from what is written as far as it can be told; 0 where it cannot."""
    difference = row["difference"]
    return difference["difference"] if difference is not None and difference["p_holm"] < 0.05 else 0.0
