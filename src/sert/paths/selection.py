"""Which of the kept paths of a question it is trained on, and the examples that they become."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sert.config.prompts import PromptTemplates
from sert.config.rules import SelectionConfig
from sert.records import Example, PathKey, Question, Verdict
from sert.seeds import derive_seed
from sert.tasks.prompts import path_example

Gains = Mapping[PathKey, float | None]
"""How much each path raises the likelihood of the gold answer, in nats; None where nobody knows."""


def select(
    verdicts: Iterable[Verdict], config: SelectionConfig | None = None, *, seed: int = 0, gains: Gains | None = None
) -> list[Verdict]:
    """Mark one kept path a question: by default the lowest rep-2, then the lower branch, then the lower sample.

    Where the configuration allows several, they are the first ones in this order. All verdicts come back in their own
    order; a question without a path to select gets no mark. The seed decides where the order of the configuration is
    random, the gains where it goes by them; then a path without one comes last.
    """
    verdicts, config = list(verdicts), config or SelectionConfig()
    asked = _sometimes_right(verdicts) if config.only_sometimes_right else None
    kept: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        agrees = verdict.agrees is True or not config.only_agreeing
        if verdict.reason is None and agrees and (asked is None or verdict.question_id in asked):
            kept[verdict.question_id].append(verdict)
    chosen = set[PathKey]()
    for rivals in kept.values():
        rivals.sort(key=lambda each: preference(each, config.order, seed=seed, gains=gains))
        chosen |= {each.key for each in rivals[: config.max_per_question]}
    return [replace(verdict, selected=True) if verdict.key in chosen else verdict for verdict in verdicts]


def _sometimes_right(verdicts: Iterable[Verdict]) -> set[str]:
    """Find the questions of whose paths some conclude the gold answer, and some do not."""
    right, paths = Counter[str](), Counter[str]()
    for verdict in verdicts:
        paths[verdict.question_id] += 1
        right[verdict.question_id] += verdict.agrees is True
    return {question_id for question_id, number in paths.items() if 0 < right[question_id] < number}


def preference(
    verdict: Verdict, order: str = "rep_2", *, seed: int = 0, gains: Gains | None = None
) -> tuple[float, int, int]:
    """Order the kept paths of a question, as the paper does by default: rep-2, branch, sample; the least is taken."""
    first = verdict.perplexity if order == "mean_logprob" else verdict.rep_2
    if order == "random":
        first = derive_seed(seed, "selection", verdict.question_id, verdict.branch, verdict.sample)
    if order == "gain":
        gain = (gains or {}).get(verdict.key)
        first = math.inf if gain is None else -gain
    return (first, verdict.branch, verdict.sample)


class Chosen(NamedTuple):
    """What an example needs of a selected path: its text and its tokens."""

    text: str
    token_ids: tuple[int, ...]


def selected_examples(
    selected: Sequence[tuple[Question, Chosen]], prompts: PromptTemplates, *, shuffled: bool, seed: int
) -> list[Example]:
    """Make the examples of questions and their selected paths, in their order.

    Shuffled, each question gets the paths of the next one of a circle that the seed draws.
    """
    paths: dict[str, list[Chosen]] = defaultdict(list)
    for question, path in selected:
        paths[question.question_id].append(path)
    given: Mapping[str, list[Chosen]] = paths
    if shuffled:
        circle = sorted(paths, key=lambda question_id: derive_seed(seed, "shuffle", question_id))
        given = {here: paths[there] for here, there in zip(circle, circle[1:] + circle[:1], strict=True)}
    asked = {question.question_id: question for question, _ in selected}
    found = ((asked[question_id], path) for question_id in asked for path in given[question_id])
    return [path_example(question, path.text, prompts, path_ids=path.token_ids) for question, path in found]
