"""How the engine drives a student one token at a time: with our attention and cache, or plainly.

`CachedStepper` runs transformers' own modules with our cache and attention behind their interfaces: each prompt is
prefilled once, its keys and values are read once a question for all its lanes, and the lanes' own keys and values go
into a buffer that is allocated once. `PlainStepper` repeats the whole forward pass at each step: slow, and right for
any causal model; it serves students whose attention cannot be replaced.

Shapes: Q questions, S lane slots a question, B = Q * S lanes, G query heads a key-value head, D head width,
E hidden width, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface
from transformers.cache_utils import Cache

from sert.student.decoding.cache import LaneLayer
from sert.student.kernels import Kernels, compiled, serves_width
from sert.student.load import Student
from sert.student.speed.memory import is_out_of_memory
from sert.student.speed.patches import fast_activations, freed_memory_kept
from sert.student.speed.quantized import LARGE_STUDENT, is_coarse, num_weights

ATTENTION_NAME = "sert_lanes"
PREFILL_TOKENS = 512
"""Prompt tokens a CPU reads at a time: enough for its products, few enough to stay in its cache."""
PROBE_TOLERANCE = 1e-3
PROBE_TOKENS = 20


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

    def keep(self, questions: Tensor, lanes_QS: Tensor) -> None:
        """Go on with these questions and, for each, these lanes (indices into the present B)."""


def _lane_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    lanes: "CachedStepper | None" = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention behind transformers' interface: causal in the prefill, prompt + lane afterwards."""
    assert lanes is not None, "the lane attention only works inside the engine"
    layer, scale = lanes.layers[module.layer_idx], scaling if scaling is not None else query.shape[-1] ** -0.5
    heads = key.shape[1]
    groups = query.shape[1] // heads
    if layer.prefilling:
        output = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=query.shape[2] > 1, scale=scale, enable_gqa=groups > 1
        )
    elif layer.kernels is not None:
        new = key[:, :, 0], value[:, :, 0]
        output = layer.kernels.attend(
            query[:, :, 0], new, layer.prompts, lanes.lengths, layer.lanes, filled=layer.filled, scaling=scale
        )
        return output[:, None], None
    else:
        query_BHGD = query.view(query.shape[0], heads, groups, query.shape[-1])
        output = layer.attend(query_BHGD, lanes.prompt_mask, scaling=scale)
    return output.transpose(1, 2), None


AttentionInterface.register(ATTENTION_NAME, _lane_attention)


class CachedStepper:
    """Drives transformers' modules with our cache and attention (see the module's docstring)."""

    def __init__(self, student: Student, prompts: Sequence[Sequence[int]]) -> None:
        self._body, self._head = student.model.base_model, student.model.get_output_embeddings()
        self._prompts = prompts
        self._device = student.device
        self.lengths = torch.tensor([len(prompt) for prompt in prompts], device=self._device)
        longest, kernels = int(self.lengths.max()), _kernels_for(student)
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

    def step(self, tokens_B: Tensor) -> Tensor:
        """Run one token a lane."""
        slots = len(tokens_B) // len(self.lengths)
        positions_B = (self.lengths + self.layers[0].filled).repeat_interleave(slots)
        return self._forward(tokens_B[:, None], positions_B[:, None])[:, -1]

    def keep(self, questions: Tensor, lanes_QS: Tensor) -> None:
        """Gather what goes on in every layer."""
        self.lengths = self.lengths[questions]
        self.prompt_mask = self.prompt_mask[questions]
        for layer in self.layers:
            layer.keep(questions, lanes_QS.flatten())

    def logits(self, states_B: Tensor) -> Tensor:
        """Apply the language-model head."""
        logits: Tensor = self._head(states_B)
        return logits

    def _forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        states: Tensor = self._body(
            input_ids=input_ids, position_ids=position_ids, past_key_values=self._cache, use_cache=True, lanes=self
        )[0]
        return states


class WholeStepper(CachedStepper):
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

    def keep(self, questions: Tensor, lanes_QS: Tensor) -> None:
        """Go on with some of the texts."""
        self._texts = [list(self._texts[lane]) for lane in lanes_QS.flatten().tolist()]

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


StepperType = type[CachedStepper] | type[PlainStepper]


@contextmanager
def stepping(student: Student) -> Iterator[StepperType]:
    """Choose the stepper for a student and lend the model our attention while the engine runs.

    The first stepper that proves itself is taken: on a short probe its logits must equal those of plain forward
    passes. Models with a sliding window or other layers than full attention take the plain stepper.
    """
    config = student.model.config
    layer_types = getattr(config, "layer_types", None) or ["full_attention"]
    full_attention = set(layer_types) == {"full_attention"} and not getattr(config, "sliding_window", None)
    if not (full_attention and student.model._can_set_attn_implementation()):
        yield PlainStepper
        return
    before = config._attn_implementation
    plain = _probe(student, PlainStepper)
    student.model.set_attn_implementation(ATTENTION_NAME)
    try:
        with fast_activations(student.model, _kernels_for(student)), freed_memory_kept():
            tolerance = _tolerance(student)
            for stepper_type in (CachedStepper, WholeStepper):
                if _agree(plain, _probe(student, stepper_type), tolerance):
                    yield stepper_type
                    return
        student.model.set_attn_implementation(before)
        yield PlainStepper
    finally:
        student.model.set_attn_implementation(before)


def _kernels_for(student: Student) -> Kernels | None:
    model = student.model
    if student.device.type != "cpu" or model.dtype != torch.float32 or num_weights(model) < LARGE_STUDENT:
        return None
    return compiled() if serves_width(_width(student)) else None


def _width(student: Student) -> int:
    config = student.model.config
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _tolerance(student: Student) -> float:
    """How far log-probabilities may lie apart; coarser students round a hundred times more coarsely."""
    exact = student.model.dtype == torch.float32 and not is_coarse(student.model)
    return PROBE_TOLERANCE if exact else 100 * PROBE_TOLERANCE


def _agree(plain: Tensor | None, cached: Tensor | None, tolerance: float) -> bool:
    """Compare the log-probabilities of the likely tokens."""
    if plain is None or cached is None or plain.shape != cached.shape:
        return False
    expected, found = plain.float().log_softmax(dim=-1), cached.float().log_softmax(dim=-1)
    likely = expected.topk(min(PROBE_TOKENS, expected.shape[-1]), dim=-1).indices
    return float((found.gather(-1, likely) - expected.gather(-1, likely)).abs().max()) <= tolerance


@torch.no_grad()
def _probe(student: Student, stepper_type: StepperType) -> Tensor | None:
    """Run two prompts of unequal length for two steps; None if the model cannot be driven like that."""
    token = student.eos_ids[0]
    prompts = [[token, 1, 2], [token, 3, 4, 5, 6]]
    stepper = stepper_type(student, prompts)
    try:
        logits = [stepper.prefill()]
        stepper.fork(2, max_steps=2)
        for step in range(2):
            tokens = torch.tensor([7, 8, 9, 10], device=student.device) + step
            logits.append(stepper.logits(stepper.step(tokens)))
    except (TypeError, AttributeError, RuntimeError, IndexError) as error:
        if is_out_of_memory(error):  # says nothing of the model, and another way to drive it rounds differently
            raise
        return None
    return torch.cat(logits)
