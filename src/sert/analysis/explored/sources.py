"""What an explorer is made of, as finished stages left it: mined and filtered paths, and outputs on test questions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sert.analysis.path_counts import Verifier
from sert.config.rules import RulesConfig, SelectionConfig
from sert.config.tree import StudentConfig
from sert.records import Prediction, Question, Verdict
from sert.store.artifacts import Artifact
from sert.tasks.load import Questions


@dataclass(frozen=True, eq=False)
class MinedPaths:
    """One folder of mined paths.

    Attributes:
        typed: The folder as people would type it.
        student: Who mined them; None where nobody knows.
        gains: The folder with their gains, None where they were not scored.
        verifier: Says what is true, in the lab.
    """

    artifact: Artifact
    typed: str
    task: str
    questions: Questions
    student: StudentConfig | None
    gains: Artifact | None = None
    verifier: Verifier | None = None


@dataclass(frozen=True, eq=False)
class FilteredPaths:
    """What rules said of one folder of mined paths.

    Attributes:
        name: What it is known by among others: its folder.
        verdicts: In the order of the paths; read more than once.
        artifact: The folder that `filter` left, None where nobody filtered and the verdicts are made on the way.
    """

    name: str
    mined: MinedPaths
    rules: RulesConfig
    selection: SelectionConfig
    verdicts: Iterable[Verdict]
    limits: Mapping[str, float]
    artifact: Artifact | None


@dataclass(frozen=True, eq=False)
class Outputs:
    """What one tested student answered, at the epoch that is reported."""

    name: str
    task: str
    method: str
    questions: Questions
    predictions: Sequence[Prediction]


class ExploredArm(NamedTuple):
    """One task of one run: `rounds` of mining, the last one is what SERT was trained on, and method -> outputs."""

    student: str
    seed: int
    variant: str
    group: str | None
    task: str
    rounds: Sequence[FilteredPaths]
    methods: Mapping[str, Outputs]


class ExploredRun(NamedTuple):
    """A run, a grid, a prospect or a lone mined folder; `folder` is as people would type it."""

    name: str
    folder: str
    arms: Sequence[ExploredArm]


def questions_by_id(questions: Iterable[Question]) -> dict[str, Question]:
    """Find questions by their ids."""
    return {question.question_id: question for question in questions}
