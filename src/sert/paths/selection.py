"""Which of the kept paths of a question it is trained on, and the examples that they become."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sert.config.tree import PromptTemplates, SelectionConfig
from sert.records import Example, Path, Question, Verdict
from sert.seeds import derive_seed
from sert.tasks.prompts import path_example


def select(verdicts: Iterable[Verdict], config: SelectionConfig | None = None, *, seed: int = 0) -> list[Verdict]:
    """Mark one kept path a question: by default the lowest rep-2, then the lower branch, then the lower sample.

    All verdicts come back in their order; a question without a path to select gets no mark. The seed decides where the
    order of the configuration is random.
    """
    verdicts, config = list(verdicts), config or SelectionConfig()
    best: dict[str, Verdict] = {}
    for verdict in verdicts:
        if verdict.reason is None and (verdict.agrees is True or not config.only_agreeing):
            rival = best.setdefault(verdict.question_id, verdict)
            best[verdict.question_id] = min(rival, verdict, key=lambda each: preference(each, config.order, seed=seed))
    return [
        replace(verdict, selected=True) if best.get(verdict.question_id) is verdict else verdict for verdict in verdicts
    ]


def preference(verdict: Verdict, order: str = "rep_2", *, seed: int = 0) -> tuple[float, int, int]:
    """Order the kept paths of a question, as the paper does by default: rep-2, branch, sample; the least is taken."""
    first = verdict.perplexity if order == "mean_logprob" else verdict.rep_2
    if order == "random":
        first = derive_seed(seed, "selection", verdict.question_id, verdict.branch, verdict.sample)
    return (first, verdict.branch, verdict.sample)


class SelectedExamples:
    """Makes the examples of the selected paths; shuffled ones when all are known."""

    def __init__(self, prompts: PromptTemplates, *, shuffled: bool, seed: int) -> None:
        self._prompts, self._shuffled, self._seed = prompts, shuffled, seed
        self._waiting: list[tuple[Question, str]] = []

    def examples(self, paths: list[Path], verdicts: list[Verdict], question: Question) -> Iterator[Example]:
        """Make the examples of one question, unless they are shuffled."""
        for path, verdict in zip(paths, verdicts, strict=True):
            if verdict.selected and self._shuffled:
                self._waiting.append((question, path.text))
            elif verdict.selected:
                yield path_example(question, path.text, self._prompts)

    def rest(self) -> Iterator[Example]:
        """Make the shuffled ones: each question gets the path of the next one of a circle that the seed draws."""
        circle = sorted(self._waiting, key=lambda pair: derive_seed(self._seed, "shuffle", pair[0].question_id))
        after = {here[0].question_id: there[1] for here, there in zip(circle, circle[1:] + circle[:1], strict=True)}
        for question, _ in self._waiting:
            yield path_example(question, after[question.question_id], self._prompts)
