"""Right, wrong, unread, cut of many outputs of each question: counts, and shares with intervals over questions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from sert.records import Path, Question
from sert.stats.clusters import ClusteredShare, clustered_share
from sert.stats.counts import Row
from sert.tasks.standing import STANDINGS, Standing, standing_of_path

RIGHT, WRONG, UNREAD, CUT = range(len(STANDINGS))
MOST_CUT = 0.05
"""Share of outputs that are cut from which on a reader is warned."""

Array = np.ndarray[Any, Any]
"""(questions, standings) counts, or one value a path."""
Kind = Literal["decoding", "mined", "rule", "branch", "budget"]
Group = tuple[Kind, str]
MINED = ("all", "kept", "dropped", "selected")
"""The groups of the kind `mined`."""


def counts_of(questions: Sequence[Question], standings: Iterable[tuple[str, Standing]]) -> Array:
    """Count outputs, given as question id and standing, by question: (questions, 4)."""
    places = {question.question_id: place for place, question in enumerate(questions)}
    counts = np.zeros((len(questions), len(STANDINGS)), dtype=int)
    for question_id, standing in standings:
        counts[places[question_id], STANDINGS.index(standing)] += 1
    return counts


def read_paths(questions: Sequence[Question], paths: Iterable[Path]) -> Array:
    """Count paths that no rule was asked about."""
    asked = {question.question_id: question for question in questions}
    return counts_of(questions, ((path.question_id, standing_of_path(path, asked[path.question_id])) for path in paths))


def four_numbers(counts: Array, *, stopped: Array | None = None) -> Row:
    """Share the standings out, and how often those that state an answer are right; the question is the unit.

    `stopped` are the paths of each question that were stopped while mining, which nobody knows the standing of: they
    are among all that is shared out, and have a share of their own.
    """
    beside = np.zeros(len(counts), dtype=int) if stopped is None else stopped
    totals, answered = (counts.sum(axis=1) + beside).tolist(), (counts[:, RIGHT] + counts[:, WRONG]).tolist()
    row: Row = {
        "paths": sum(totals),
        "questions": sum(map(bool, totals)),
        **{name: share_row(clustered_share(counts[:, place].tolist(), totals)) for place, name in enumerate(STANDINGS)},
        "answered": share_row(clustered_share(answered, totals)),
        "right_of_answered": share_row(clustered_share(counts[:, RIGHT].tolist(), answered)),
    }
    if stopped is not None:
        row["stopped"] = share_row(clustered_share(stopped.tolist(), totals)) if stopped.any() else None
    return row


def share_row(share: ClusteredShare) -> Row:
    """Write a share as JSON holds it."""
    return {
        "hits": int(share.hits),
        "of": int(share.total),
        "share": share.share,
        "ci95": None if share.interval is None else list(share.interval),
        "questions": share.clusters,
    }


class Standings:
    """How outputs stand, by groups of them and by question. Several seeds are added up: their questions are the same.

    A group is a kind and a name; an output may be in several. None stands for a path that was stopped while mining.
    """

    def __init__(self) -> None:
        self._counts: dict[Group, dict[str, list[int]]] = defaultdict(dict)

    def add(self, kind: Kind, name: str, question_id: str, standing: Standing | None) -> None:
        """Count one more output."""
        of_question = self._counts[kind, name].setdefault(question_id, [0] * (len(STANDINGS) + 1))
        of_question[-1 if standing is None else STANDINGS.index(standing)] += 1

    def add_all(self, other: "Standings", *, renamed: Mapping[Group, Group] | None = None) -> None:
        """Count those of another, only some groups and under other names where that is said."""
        for group, questions in other._counts.items():
            if renamed is not None and group not in renamed:
                continue
            ours = self._counts[group if renamed is None else renamed[group]]
            for question_id, counts in questions.items():
                known = ours.setdefault(question_id, [0] * len(counts))
                known[:] = [a + b for a, b in zip(known, counts, strict=True)]

    def rows(self) -> Iterator[Row]:
        """Write the four numbers of each group, kind by kind."""
        for (kind, name), questions in sorted(self._counts.items(), key=lambda each: _place(*each[0])):
            counts = np.array(list(questions.values()))
            yield {"of": kind, "name": name, **four_numbers(counts[:, :-1], stopped=counts[:, -1])}


def _place(kind: Kind, name: str) -> tuple[int, int]:
    """Say where a group stands among others; of most kinds in the order in which they came."""
    return get_args(Kind).index(kind), MINED.index(name) if kind == "mined" else 0


def cut_warning(shares: Mapping[str, float | None], *, tokens: int, setting: str) -> str | None:
    """Warn where too many outputs are cut at this number of tokens, which is a setting, and say how that is mended.

    The shares are those of the outputs that are cut, by what these are called.
    """
    many = [f"{100 * share:.0f} % of {name}" for name, share in shares.items() if share and share > MOST_CUT]
    if not many:
        return None
    return (
        f"outputs are cut at {tokens} tokens before they state an answer ({', '.join(many)}), and count as neither "
        f"right nor wrong by the strict reading; raise {setting}, to {2 * tokens} for instance"
    )
