"""The branching engine: many continuations of many questions, decoded in waves.

A wave is a set of questions of like length whose lanes decode in lockstep. The first tokens of a question are the
`branches` most probable ones (or drawn like any other, for raw sampling and greedy decoding); each gets `samples`
lanes. What a lane samples depends on (seed, question, branch, sample, step) alone. With a referee, a wave lets a few
lanes of each question go on and later waves the others, as far as they still matter (`schedule.py`).

Shapes: Q questions, S lane slots a question, B = Q * S lanes, T steps, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from sert.seeds import derive_seed
from sert.student.decoding.lanes import Lane
from sert.student.decoding.proof import Drive, check_numbers, find_drive
from sert.student.decoding.sampling import Sampled, branch_first_tokens, lane_uniforms, sample_next
from sert.student.decoding.schedule import (
    WAITING,
    Decoding,
    DecodingPrompt,
    Referee,
    Schedule,
    check_lengths,
    longest_text,
)
from sert.student.decoding.stepping import Stepper, alive_first, lent
from sert.student.load import Student

LOOK_EVERY = 8
"""Steps between the referee's looks at the lanes."""
HEAD_LOGITS = 5 * 2**20
"""Logits a CPU makes at a time: few enough to be sampled from while they are in its cache."""


def decode(
    student: Student,
    prompts: Sequence[DecodingPrompt],
    decoding: Decoding,
    *,
    drive: Drive | None = None,
    referee: Referee | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[list[tuple[int, bytes]]]:
    """Continue every prompt, of any order and length, wave by wave. With a referee a prompt can be in several waves.

    The referee stops lanes early; it sees the lanes every few steps, and before their wave those that wait. `progress`
    is called at every step with the lanes' worth of work that was done; the sum is the number of lanes. The model stays
    in evaluation mode.

    Yields:
        Lists of (index into `prompts`, its lanes, packed), after a wave that finished any prompt.

    Raises:
        StudentError: If a prompt and its continuation do not fit into the student's positions.
    """
    check_lengths(student, prompts, decoding)
    progress = progress or (lambda lanes: None)
    schedule = Schedule([len(prompt.token_ids) for prompt in prompts], decoding, referee=referee, progress=progress)
    if drive is None:
        drive = find_drive(student, [prompt.token_ids for prompt in prompts], longest=longest_text(prompts, decoding))
    with lent(student, drive.stepper), torch.inference_mode():
        for indices, waiting, num_lanes in schedule.waves():
            wave = [prompts[index] for index in indices]
            stepper = drive.stepper(student, [prompt.token_ids for prompt in wave])
            lanes = _Wave(student, stepper, wave, decoding, progress)
            found = lanes.run(waiting, num_lanes, referee=referee, indices=indices)
            if done := schedule.learn(indices, found):
                yield done


class _Wave:
    """One wave: the state of its lanes while they decode."""

    def __init__(
        self,
        student: Student,
        stepper: Stepper,
        prompts: Sequence[DecodingPrompt],
        decoding: Decoding,
        progress: Callable[[float], None],
    ) -> None:
        self._student, self._stepper, self._decoding, self._progress = student, stepper, decoding, progress
        self._device = student.device
        self._eos = torch.tensor(student.eos_ids, device=self._device)
        self._skip_ids = student.eos_ids if decoding.eos_branch == "skip" else ()
        questions, slots = len(prompts), decoding.lanes_per_question
        total = questions * slots
        self._items = [prompt.item for prompt in prompts]
        self._uniforms = torch.zeros((total, decoding.max_new_tokens), dtype=torch.float64, device=self._device)
        self._tokens = torch.zeros((total, decoding.max_new_tokens), dtype=torch.long, device=self._device)
        self._logprobs = torch.zeros((total, decoding.max_new_tokens), dtype=torch.float32, device=self._device)
        self._lengths = torch.zeros(total, dtype=torch.long, device=self._device)
        self._stopped = torch.ones(total, dtype=torch.bool, device=self._device)
        self._finishes: dict[int, str] = {}
        self._reported = torch.zeros(total, dtype=torch.bool, device=self._device)
        self._ended = torch.zeros(total, dtype=torch.bool, device=self._device)
        self._lanes_B = torch.arange(total, device=self._device)  # that decode; some may be over

    def run(
        self, waiting: Sequence[Sequence[int]], num_lanes: int, *, referee: Referee | None, indices: Sequence[int]
    ) -> list[dict[int, Lane]]:
        """Decode to the end the first `num_lanes` of the `waiting` lanes of each prompt; the others get a first token.

        `indices` name the prompts to the referee. Returns the continuations of the waiting lanes of each prompt.
        """
        slots, steps = self._decoding.lanes_per_question, self._decoding.max_new_tokens
        numbers = [[question * slots + lane for lane in of_one] for question, of_one in enumerate(waiting)]
        lanes = [lane for of_one in numbers for lane in of_one]
        self._begin(lanes)
        logits_QV = self._stepper.prefill()
        self._vocabulary = logits_QV.shape[1]
        tokens_B = self._first_tokens(logits_QV)
        self._stop({lane: WAITING for of_one in numbers for lane in of_one[num_lanes:]})
        lanes_QS = self._lanes_B.view(-1, slots)
        self._lanes_B = lanes_QS.gather(1, alive_first(self._alive_B().view_as(lanes_QS))[:, :num_lanes]).flatten()
        self._stepper.fork(num_lanes, max_steps=steps)
        tokens_B = tokens_B[self._lanes_B]
        going = sum(min(num_lanes, len(of_one)) for of_one in numbers)
        self._progress(going / steps)
        for step in range(1, steps):
            if not bool(self._alive_B().any()):
                self._progress(going * (steps - step) / steps)
                break
            tokens_B = self._compact(tokens_B)
            sampled = self._sample(self._stepper.step(tokens_B), step)
            self._record(sampled, step, first=False)
            tokens_B = sampled.tokens
            if referee is not None and (step + 1) % LOOK_EVERY == 0 and step + 1 < steps:
                self._ask(referee, indices)
            self._progress(going / steps)
        if referee is not None:
            self._tell(referee, indices, self._ended | ~self._stopped)
        found = iter(self._continuations(lanes))
        return [dict(zip(of_one, found, strict=False)) for of_one in waiting]

    def _begin(self, lanes: list[int]) -> None:
        """Let these lanes go on, and no others."""
        slots, samples, seed = self._decoding.lanes_per_question, self._decoding.samples, self._decoding.seed
        places = [(self._items[lane // slots], *divmod(lane % slots, samples)) for lane in lanes]
        seeds = [derive_seed(seed, "decode", *place) for place in places]
        self._uniforms[lanes] = lane_uniforms(seeds, num_steps=self._decoding.max_new_tokens).to(self._device)
        self._stopped[lanes] = False

    def _stop(self, finishes: dict[int, str]) -> None:
        self._finishes.update(finishes)
        self._stopped[list(finishes)] = True

    def _first_tokens(self, logits_QV: Tensor) -> Tensor:
        decoding = self._decoding
        if decoding.branches is None:
            sampled = self._draw(logits_QV.repeat_interleave(decoding.samples, dim=0), self._uniforms[:, 0])
        else:
            branches = branch_first_tokens(logits_QV, num_branches=decoding.branches, skip_ids=self._skip_ids)
            sampled = Sampled(*(each_QK.repeat_interleave(decoding.samples, dim=1).flatten() for each_QK in branches))
        self._record(sampled, 0, first=decoding.branches is not None)
        return sampled.tokens

    def _sample(self, states_B: Tensor, step: int) -> Sampled:
        """Draw the next tokens of all lanes, a group of lanes at a time."""
        uniforms_B = self._uniforms[self._lanes_B, step]
        group = max(1, HEAD_LOGITS // self._vocabulary) if self._device.type == "cpu" else len(states_B)
        parts = [
            self._draw(self._stepper.logits(states), uniforms)
            for states, uniforms in zip(torch.split(states_B, group), torch.split(uniforms_B, group), strict=True)
        ]
        return Sampled(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _draw(self, logits_BV: Tensor, uniforms_B: Tensor) -> Sampled:
        decoding = self._decoding
        try:
            sampled = sample_next(
                logits_BV, uniforms_B, top_k=decoding.top_k, top_p=decoding.top_p, temperature=decoding.temperature
            )
        except (IndexError, RuntimeError):
            check_numbers(self._student, logits_BV)
            raise
        if bool(sampled.logprobs.isnan().any()):
            check_numbers(self._student, logits_BV)
        return sampled

    def _over(self) -> Tensor:
        return self._ended | self._stopped

    def _alive_B(self) -> Tensor:
        return ~self._over()[self._lanes_B]

    def _record(self, sampled: Sampled, step: int, *, first: bool) -> None:
        """Append tokens to the lanes that are not over; an end-of-text ends its lane (but not as a branch)."""
        lanes_B, going = self._lanes_B, self._alive_B()
        ends = torch.isin(sampled.tokens, self._eos) & (not first)
        self._ended[lanes_B[going & ends]] = True
        grown = lanes_B[going & ~ends]
        self._tokens[grown, step] = sampled.tokens[going & ~ends]
        self._logprobs[grown, step] = sampled.logprobs[going & ~ends]
        self._lengths[grown] = step + 1

    def _compact(self, tokens_B: Tensor) -> Tensor:
        """Leave out lanes that are over."""
        kept_B = self._stepper.keep(self._alive_B())
        if kept_B is None:
            return tokens_B
        self._lanes_B = self._lanes_B[kept_B]
        return tokens_B[kept_B]

    def _ask(self, referee: Referee, indices: Sequence[int]) -> None:
        """Tell the referee of the lanes that have ended, then ask it about those that go on."""
        self._tell(referee, indices, self._ended)
        slots = self._decoding.lanes_per_question
        lanes = self._lanes_B[self._alive_B()].tolist()
        asked = zip(lanes, self._continuations(lanes), strict=True)
        answers = {lane: referee.stops(indices[lane // slots], continuation) for lane, continuation in asked}
        self._stop({lane: finish for lane, finish in answers.items() if finish is not None})

    def _tell(self, referee: Referee, indices: Sequence[int], finished: Tensor) -> None:
        """Tell the referee of finished lanes, of each once."""
        lanes = (finished & ~self._reported).nonzero()[:, 0].tolist()
        self._reported |= finished
        for lane, continuation in zip(lanes, self._continuations(lanes), strict=True):
            referee.ended(indices[lane // self._decoding.lanes_per_question], continuation)

    def _continuations(self, lanes: list[int]) -> list[Lane]:
        slots, samples = self._decoding.lanes_per_question, self._decoding.samples
        numbers = torch.tensor(lanes, dtype=torch.long, device=self._device)
        lengths_B, ended = self._lengths[numbers], self._ended[numbers].tolist()
        filled_BT = torch.arange(self._decoding.max_new_tokens, device=self._device) < lengths_B[:, None]
        # Lanes that wait have one token, so that only what is filled is worth copying.
        tokens, logprobs = self._tokens[numbers][filled_BT].tolist(), self._logprobs[numbers][filled_BT].tolist()
        ends = lengths_B.cumsum(0).tolist()
        return [
            Lane(
                *divmod(lane % slots, samples),
                token_ids=tokens[start:end],
                logprobs=logprobs[start:end],
                finish="eos" if is_ended else self._finishes.get(lane, "length"),
            )
            for lane, start, end, is_ended in zip(lanes, [0, *ends], ends, ended, strict=False)
        ]
