"""How the engine drives a student one token at a time.

`LaneStepper` runs transformers' own modules with our cache and attention behind their interfaces: each prompt is
prefilled once, its keys and values are read once a question for all its lanes, and the lanes' own keys and values go
into a buffer that is allocated once. `CacheStepper` leaves the cache to the model, copied once a lane: for sliding
windows, convolutions and states. `PlainStepper` repeats the whole forward pass at each step: slow, and right for any
causal model. `proof.py` chooses among them.

Shapes: Q questions, S lane slots a question, B lanes, those of a question beside each other, G query heads a key-value
head, D head width, E hidden width, V vocabulary.
"""

import inspect
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface
from transformers.cache_utils import Cache

from sert.student.decoding.cache import LaneLayer
from sert.student.kernels import Kernels, LanePlaces, compiled, serves_width
from sert.student.load import Student
from sert.student.speed.patches import HARMLESS, fast_activations, freed_memory_kept
from sert.student.speed.quantized import LARGE_STUDENT, is_coarse, num_weights

ATTENTION_NAME = "sert_lanes"
COMPACT_BELOW = 0.75
"""Lanes are gathered when less than this share of them goes on, where that copies what they said."""
# What transformers hands to an attention function and what changes nothing here: windows are looked at beforehand.
_HARMLESS = HARMLESS | {"sliding_window"}
PREFILL_TOKENS = 512
"""Prompt tokens a CPU reads at a time: enough for its products, few enough to stay in its cache."""


class Stepper(Protocol):
    """Drives the lanes of one wave in lockstep."""

    def prefill(self) -> Tensor:
        """Read the prompts; return the logits behind each, (Q, V)."""

    def fork(self, slots: int, *, max_steps: int) -> None:
        """Give each question `slots` lanes of at most `max_steps` tokens."""

    def step(self, tokens_B: Tensor) -> Tensor:
        """Append one token to each lane; return its state, what `logits` wants: (B, E), or (B, V)."""

    def logits(self, states_B: Tensor) -> Tensor:
        """Turn the states of any lanes into their logits, (B, V)."""

    def keep(self, alive_B: Tensor) -> Tensor | None:
        """Leave out lanes that are over, if that is worth it.

        Returns:
            Which of the present lanes go on, in their order: all that are alive, and perhaps others. None: as before.
        """


def _lane_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    lanes: "LaneStepper | None" = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention behind transformers' interface: causal in the prefill, prompt + lane afterwards."""
    if lanes is None:
        raise TypeError("it does not hand arguments on to its attention")
    if unknown := sorted(name for name, value in kwargs.items() if value is not None and name not in _HARMLESS):
        raise TypeError(f"its attention takes {', '.join(unknown)}")
    layer, scale = lanes.layers[module.layer_idx], scaling if scaling is not None else query.shape[-1] ** -0.5
    heads = key.shape[1]
    groups = query.shape[1] // heads
    if layer.prefilling:
        output = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=query.shape[2] > 1, scale=scale, enable_gqa=groups > 1
        )
    elif layer.kernels is not None:
        new, texts = (key[:, :, 0], value[:, :, 0]), (layer.prompts, lanes.lengths, layer.lanes, lanes.where)
        output = layer.kernels.attend(query[:, :, 0], new, *texts, filled=layer.filled, scaling=scale)
        return output[:, None], None
    else:
        query_BHGD = query.view(query.shape[0], heads, groups, query.shape[-1])
        output = layer.attend(query_BHGD, lanes.prompt_mask, scaling=scale)
    return output.transpose(1, 2), None


AttentionInterface.register(ATTENTION_NAME, _lane_attention)


class LaneStepper:
    """Drives transformers' modules with our cache and attention (see the module's docstring)."""

    def __init__(self, student: Student, prompts: Sequence[Sequence[int]]) -> None:
        self._body, self._head = student.model.base_model, student.model.get_output_embeddings()
        self._prompts = prompts
        self._device = student.device
        self.lengths = torch.tensor([len(prompt) for prompt in prompts], device=self._device)
        longest, kernels = int(self.lengths.max()), kernels_for(student)
        self._kernels = kernels
        # Students that round are no more exact than bfloat16 keys and values.
        in_pairs = kernels is not None and is_coarse(student.model) and kernels.attends_in_pairs(_width(student))
        self.layers = [
            LaneLayer(questions=len(prompts), longest=longest, kernels=kernels, in_pairs=in_pairs)
            for _ in range(student.model.config.num_hidden_layers)
        ]
        self._cache = Cache(layers=self.layers)
        positions = torch.arange(longest, device=self._device)
        hidden = positions[None, :] >= self.lengths[:, None]
        zeros = torch.zeros(hidden.shape, dtype=student.model.dtype, device=self._device)
        self.prompt_mask = zeros.masked_fill(hidden, -torch.inf)[:, None, None, :]

    def prefill(self) -> Tensor:
        """Read the prompts in chunks, padded on the right, where causal attention never looks."""
        prompts = self._prompts
        at_once = max(1, PREFILL_TOKENS // max(map(len, prompts))) if self._device.type == "cpu" else len(prompts)
        chunks = [prompts[start : start + at_once] for start in range(0, len(prompts), at_once)]
        return self.logits(torch.cat([self._read(chunk) for chunk in chunks]))

    def _read(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        padded_CP, last_C = _padded(prompts, self._device)
        positions_CP = torch.arange(padded_CP.shape[1], device=self._device).expand_as(padded_CP)
        return _each_at(self._forward(padded_CP, positions_CP), last_C)

    def fork(self, slots: int, *, max_steps: int) -> None:
        """Allocate the lanes' buffers, once for all steps."""
        for layer in self.layers:
            layer.allocate(slots, max_steps=max_steps)
        questions_B = torch.arange(len(self.lengths), device=self._device).repeat_interleave(slots)
        self._place(questions_B, torch.arange(len(questions_B), device=self._device))

    def step(self, tokens_B: Tensor) -> Tensor:
        """Run one token a lane."""
        positions_B = self.lengths[self._questions_B] + self.layers[0].filled
        return self._forward(tokens_B[:, None], positions_B[:, None])[:, -1]

    def keep(self, alive_B: Tensor) -> Tensor | None:
        """Forget what is over where loops look lanes up by their place; gather a smaller grid of lanes elsewhere."""
        if self._kernels is None:
            return self._keep_grid(alive_B)
        if bool(alive_B.all()):
            return None
        kept_B = alive_B.nonzero()[:, 0]
        self._place(self._questions_B[kept_B], self.where.places_B[kept_B])
        return kept_B

    def _keep_grid(self, alive_B: Tensor) -> Tensor | None:
        """Leave out questions that are over, and of the others so many slots as no question needs.

        Each keeps the same number of slots; one whose lanes are over goes on with some of them.
        """
        alive_QS = alive_B.view(len(self.lengths), -1)
        slots = int(alive_QS.sum(dim=1).max())
        rows = alive_QS.any(dim=1).nonzero()[:, 0]
        if len(rows) * slots > COMPACT_BELOW * alive_QS.numel():
            return None
        kept_B = (rows[:, None] * alive_QS.shape[1] + alive_first(alive_QS[rows])[:, :slots]).flatten()
        self.lengths = self.lengths[rows]
        self.prompt_mask = self.prompt_mask[rows]
        for layer in self.layers:
            layer.keep(rows, kept_B)
        self._place(torch.arange(len(rows), device=self._device).repeat_interleave(slots), kept_B)
        return kept_B

    def _place(self, questions_B: Tensor, places_B: Tensor) -> None:
        """Let these lanes go on: whose each is, and where it is."""
        numbers = torch.arange(len(self.lengths) + 1, device=self._device)
        self._questions_B = questions_B
        self.where = LanePlaces(places_B, torch.searchsorted(questions_B, numbers))

    def logits(self, states_B: Tensor) -> Tensor:
        """Apply the language-model head."""
        logits: Tensor = self._head(states_B)
        return logits

    def _forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        states: Tensor = self._body(
            input_ids=input_ids, position_ids=position_ids, past_key_values=self._cache, use_cache=True, lanes=self
        )[0]
        return states


class WholeStepper(LaneStepper):
    """Lets the model make the logits itself, for those that scale or cap what their head gives."""

    def __init__(self, student: Student, prompts: Sequence[Sequence[int]]) -> None:
        super().__init__(student, prompts)
        self._body, self._head = student.model, torch.nn.Identity()


class PlainStepper:
    """Repeats the whole forward pass at each step. Slow, right for any causal model, and the tests' reference."""

    def __init__(self, student: Student, prompts: Sequence[Sequence[int]]) -> None:
        self._model = student.model
        self._device = student.device
        self._texts = [list(prompt) for prompt in prompts]

    def prefill(self) -> Tensor:
        """Read the prompts."""
        return self._last_logits()

    def fork(self, slots: int, *, max_steps: int) -> None:
        """Copy each prompt once a lane."""
        self._texts = [list(text) for text in self._texts for _ in range(slots)]

    def step(self, tokens_B: Tensor) -> Tensor:
        """Append and read everything again."""
        for text, token in zip(self._texts, tokens_B.tolist(), strict=True):
            text.append(token)
        return self._last_logits()

    def logits(self, states_B: Tensor) -> Tensor:
        """The states are the logits already."""
        return states_B

    def keep(self, alive_B: Tensor) -> Tensor | None:
        """Go on with some of the texts."""
        kept_B = alive_B.nonzero()[:, 0]
        self._texts = [self._texts[lane] for lane in kept_B.tolist()]
        return kept_B

    def _last_logits(self) -> Tensor:
        padded_BT, last_B = _padded(self._texts, self._device)
        mask_BT = (torch.arange(padded_BT.shape[1], device=self._device) <= last_B[:, None]).long()
        output = self._model(input_ids=padded_BT, attention_mask=mask_BT, use_cache=False)
        return _each_at(output.logits, last_B)


def _padded(texts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Put texts into one tensor, padded on the right, and name the place of each one's last token."""
    padded = pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
    return padded.to(device), torch.tensor([len(text) - 1 for text in texts], device=device)


def _each_at(states_BTX: Tensor, places_B: Tensor) -> Tensor:
    """Take of each text what stands at its place, (B, X)."""
    return states_BTX[torch.arange(len(places_B), device=places_B.device), places_B]


class CacheStepper:
    """Lets the model keep what it has read in its own cache: any that transformers has, of state-space layers too.

    Prompts of one length that stand beside each other are read together, without padding, and once; then each lane of
    a question gets its cache. Nothing is told to the model but the tokens.
    """

    def __init__(self, student: Student, prompts: Sequence[Sequence[int]]) -> None:
        self._model, self._device = student.model, student.device
        self._groups = [list(group) for _, group in itertools.groupby(prompts, key=len)]
        self._caches: list[dict[str, Cache]] = []
        self._lanes = [len(group) for group in self._groups]
        takes_part = "logits_to_keep" in inspect.signature(student.model.forward).parameters
        self._last: dict[str, Any] = {"logits_to_keep": 1} if takes_part else {}

    def prefill(self) -> Tensor:
        """Read the prompts, a group at a time."""
        read = [self._forward(torch.tensor(group, device=self._device), {}) for group in self._groups]
        self._caches = [cache for _, cache in read]
        return torch.cat([logits for logits, _ in read])

    def fork(self, slots: int, *, max_steps: int) -> None:
        """Copy what was read of each prompt once a lane."""
        for cache, questions in zip(self._caches, self._lanes, strict=True):
            _reorder(cache, torch.arange(questions, device=self._device).repeat_interleave(slots))
        self._lanes = [questions * slots for questions in self._lanes]

    def step(self, tokens_B: Tensor) -> Tensor:
        """Run one token a lane."""
        tokens = torch.split(tokens_B, self._lanes)
        read = [self._forward(each[:, None], cache) for each, cache in zip(tokens, self._caches, strict=True)]
        self._caches = [cache for _, cache in read]
        return torch.cat([logits for logits, _ in read])

    def logits(self, states_B: Tensor) -> Tensor:
        """The states are the logits already."""
        return states_B

    def keep(self, alive_B: Tensor) -> Tensor | None:
        """Go on with some of each group, once they are few enough; groups of which nothing is left are forgotten."""
        kept_B = alive_B.nonzero()[:, 0]
        if len(kept_B) > COMPACT_BELOW * len(alive_B):
            return None
        groups = zip(self._caches, torch.split(alive_B, self._lanes), strict=True)
        kept = [(cache, alive.nonzero()[:, 0]) for cache, alive in groups if bool(alive.any())]
        for cache, lanes in kept:
            _reorder(cache, lanes)
        self._caches, self._lanes = [cache for cache, _ in kept], [len(lanes) for _, lanes in kept]
        return kept_B

    def _forward(self, input_ids_BT: Tensor, cache: dict[str, Cache]) -> tuple[Tensor, dict[str, Cache]]:
        """Return the last logits of each text, and the cache by the name under which the model takes it."""
        output = self._model(input_ids=input_ids_BT, use_cache=True, **self._last, **cache)
        logits: Tensor = output.logits[:, -1]
        return logits, {name: output[name] for name in ("past_key_values", "cache_params") if name in output}


def _reorder(cache: dict[str, Cache], lanes_B: Tensor) -> None:
    for each in cache.values():
        each.reorder_cache(lanes_B)


def alive_first(alive_QS: Tensor) -> Tensor:
    """Order the slots of each question: first those that are alive, (Q, S)."""
    return alive_QS.int().argsort(dim=1, descending=True, stable=True)


StepperType = type[LaneStepper] | type[CacheStepper] | type[PlainStepper]


@contextmanager
def lent(student: Student, stepper_type: StepperType) -> Iterator[None]:
    """Lend a model what this stepper needs while the engine runs: our attention, and activations in one pass."""
    before = student.model.config._attn_implementation
    with freed_memory_kept():
        if not issubclass(stepper_type, LaneStepper):
            yield
            return
        student.model.set_attn_implementation(ATTENTION_NAME)
        try:
            with fast_activations(student.model, kernels_for(student)):
                yield
        finally:
            student.model.set_attn_implementation(before)


def kernels_for(student: Student) -> Kernels | None:
    """Return the compiled loops where the fast way takes them for a student: a large one on a CPU."""
    model = student.model
    if student.device.type != "cpu" or model.dtype != torch.float32 or num_weights(model) < LARGE_STUDENT:
        return None
    return compiled() if serves_width(_width(student)) else None


def _width(student: Student) -> int:
    config = student.model.config
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
