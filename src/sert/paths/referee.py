"""The referee of mining: stops lanes early whose path cannot be selected, whatever follows."""

from collections.abc import Sequence

from sert.config.rules import RulesConfig
from sert.paths.rules import OUTRUN, REJECTED, Stump, apply_rules, certain_reason, least_rep_2, path_of
from sert.paths.selection import preference
from sert.records import Question
from sert.student.decoding.lanes import Lane
from sert.student.load import Student


class RuleReferee:
    """Stops the lanes that a rule is certain to drop, and those that a path which is there already is preferred to.

    Attributes:
        stopped: For each rule, and for `outrun`: how many paths, and the tokens that this saved at most.
    """

    def __init__(
        self, questions: Sequence[Question], student: Student, *, rules: RulesConfig, max_new_tokens: int
    ) -> None:
        self.stopped: dict[str, dict[str, int]] = {}
        self._questions, self._student, self._rules = questions, student, rules
        self._max_new_tokens = max_new_tokens
        self._best: dict[int, tuple[float, int, int]] = {}

    def ended(self, prompt: int, lane: Lane) -> None:
        """Remember the most preferred path that is kept of each question."""
        if self._is_outrun(prompt, lane):
            return
        question = self._questions[prompt]
        path = path_of(lane, question, self._student, eos_id=self._student.eos_ids[0])
        verdict = apply_rules(path, question, self._rules)
        if verdict.reason is None:
            self._best[prompt] = min(self._best.get(prompt, preference(verdict)), preference(verdict))

    def stops(self, prompt: int, lane: Lane) -> str | None:
        """Tell a lane that loses whatever follows."""
        if self._is_outrun(prompt, lane):
            return self._count(OUTRUN, OUTRUN, lane)
        text = self._student.decode(lane.token_ids)
        reason = certain_reason(Stump(text, lane.token_ids, self._questions[prompt], self._max_new_tokens), self._rules)
        return None if reason is None else self._count(reason, REJECTED, lane)

    def _is_outrun(self, prompt: int, lane: Lane) -> bool:
        """Tell whether the best that can come of the lane is worse than what is there."""
        if prompt not in self._best:
            return False
        rep_2 = least_rep_2(lane.token_ids, self._rules, max_new_tokens=self._max_new_tokens)
        return (rep_2, lane.branch, lane.sample) > self._best[prompt]

    def _count(self, reason: str, finish: str, lane: Lane) -> str:
        counts = self.stopped.setdefault(reason, {"paths": 0, "tokens_saved_at_most": 0})
        counts["paths"] += 1
        counts["tokens_saved_at_most"] += self._max_new_tokens - len(lane.token_ids)
        return finish
