"""Which questions are trained on, which ones the epoch is chosen on, and which ones are tested on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.records import Question, Split
from sert.seeds import derive_seed
from sert.tasks.duplicates import NearDuplicate, find_near_duplicates, fold, question_key

LEAKED = "train question also in the test split"
NEARLY = {
    "test": "train question nearly the same as one of the test split",
    "dev": "train question nearly the same as one of the dev split",
}
"""Split of the other question -> why a train question that is nearly the same is left out."""


class Splits(NamedTuple):
    """The questions of each split in their order, how many were left out for which reason, and the near-duplicates."""

    train: list[Question]
    dev: list[Question]
    test: list[Question]
    left_out: dict[str, int]
    near_duplicates: list[NearDuplicate]


def make_splits(name: str, config: TaskConfig, questions: Sequence[Question]) -> Splits:
    """Draw the splits that are not given, and keep out of train what the others hold.

    Whether a question is drawn depends on the words of its stem alone, so questions with the same stem stay together.
    Train questions are compared with the test split first; the dev split is drawn from those that remain, and the
    others are compared with it.

    Raises:
        DataError: If the train split is empty, or one that was to be drawn.
    """
    given = questions
    if config.test_share is not None:
        given = [_drawn(each, "test", config.test_share) for each in given]
    train, test = _of(given, "train"), _of(given, "test")
    tested = set(map(question_key, test))
    others = [each for each in train if question_key(each) not in tested]
    fresh, near = _without_near(others, test, config.near_duplicates)
    splits = Splits(fresh, [], test, {LEAKED: len(train) - len(others), NEARLY["test"]: len(near)}, near)
    if not fresh:
        raise DataError(f"{name}: the train split is empty.{_told(splits.left_out)}")
    if config.test_share is not None and not test:
        raise DataError(
            f"{name}: a test_share of {config.test_share} of {len(given)} questions leaves the test split empty; "
            "raise it."
        )
    return splits if config.dev_share is None else _with_dev(name, splits, config.dev_share, config.near_duplicates)


def _with_dev(name: str, splits: Splits, share: float, min_similarity: float | None) -> Splits:
    drawn = [_drawn(each, "dev", share) for each in splits.train]
    dev = _of(drawn, "dev")
    train, near = _without_near(_of(drawn, "train"), dev, min_similarity)
    left_out = splits.left_out | {NEARLY["dev"]: len(near)}
    for split, found, remedy in (("dev", dev, "raise"), ("train", train, "lower")):
        if not found:
            raise DataError(
                f"{name}: a dev_share of {share} of {len(drawn)} train questions leaves the {split} split empty; "
                f"{remedy} it.{_told(left_out)}"
            )
    return Splits(train, dev, splits.test, left_out, splits.near_duplicates + near)


def _drawn(question: Question, split: Split, share: float) -> Question:
    is_drawn = derive_seed(0, f"{split} share", fold(question.question)) < share * 2**64
    return replace(question, split=split if is_drawn else "train")


def _of(questions: Iterable[Question], split: Split) -> list[Question]:
    return [each for each in questions if each.split == split]


def _without_near(
    questions: Sequence[Question], others: Sequence[Question], min_similarity: float | None
) -> tuple[list[Question], list[NearDuplicate]]:
    if min_similarity is None:
        return list(questions), []
    found = list(find_near_duplicates(questions, others, min_similarity=min_similarity))
    near = {pair.question_id for pair in found}
    return [each for each in questions if each.question_id not in near], found


def _told(left_out: Mapping[str, int]) -> str:
    return "".join(f" {count} left out: {reason}." for reason, count in left_out.items() if count)
