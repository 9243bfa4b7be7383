"""Keys and values of prompts and lanes, and attention over both.

Shapes: Q questions, S lane slots a question, B = Q * S lanes, H key-value heads, G query heads a key-value head,
P prompt positions, T decoding steps, D head width, R = S * G, C prompts of a chunk.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from sert.student.kernels import STEPS, Caches, Kernels


class LaneLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers has no types
    """Keys and values of one layer, those of the prompts and those of the lanes.

    There will be one prompt of each question, the largest of length `longest`, in one chunk or several. Where compiled
    loops do the attention, they may want bfloat16, and values then in pairs of steps (`kernels.Caches`).
    """

    prompts: Caches
    lanes: Caches

    def __init__(self, *, questions: int, longest: int, kernels: Kernels | None, in_pairs: bool) -> None:
        super().__init__()
        self._questions = questions
        self._longest = longest
        self.kernels = kernels
        self._in_pairs = in_pairs
        self._read = 0
        self.prefilling = True
        self.filled = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room for the keys and values of all prompts."""
        heads, width = key_states.shape[1], key_states.shape[3]
        self.prompts = self._room(key_states, self._questions, heads, self._longest, width, zeros=True)
        self.is_initialized = True

    def allocate(self, slots: int, *, max_steps: int) -> None:
        """Make room for the lanes; the prompts are all there."""
        questions, heads, _, width = self.prompts.keys.shape
        self.prefilling = False
        self.lanes = self._room(self.prompts.keys, questions * slots, heads, max_steps, width)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store the keys and values of a chunk of prompts, or of one step."""
        if self.prefilling:
            self._store_prompts(key_states, value_states)
            return key_states, value_states
        if self.kernels is None:
            self.lanes.keys[:, :, self.filled] = key_states[:, :, 0]
            self.lanes.values[:, :, self.filled] = value_states[:, :, 0]
        self.filled += 1
        return key_states, value_states

    def attend(self, query_BHGD: Tensor, prompt_mask_Q11P: Tensor, *, scaling: float) -> Tensor:
        """Attend over prompt and lane with one softmax; exact, the prompt is read once a question. (B, H*G, 1, D)."""
        questions, _, prompt_len, _ = self.prompts.keys.shape
        lanes, heads, groups, width = query_BHGD.shape
        prompt_QHRP = _by_question(query_BHGD, questions) @ self.prompts.keys.transpose(2, 3) * scaling
        prompt_QHRP += prompt_mask_Q11P
        keys_BHTD, values_BHTD = (each[:, :, : self.filled] for each in self.lanes)
        lane_BHGT = query_BHGD @ keys_BHTD.transpose(2, 3) * scaling
        scores = torch.cat([_by_lane(prompt_QHRP, groups), lane_BHGT], dim=3)
        weights = scores.softmax(dim=3, dtype=torch.float32).to(query_BHGD.dtype)
        from_prompt_QHRD = _by_question(weights[..., :prompt_len], questions) @ self.prompts.values
        output_BHGD = _by_lane(from_prompt_QHRD, groups) + weights[..., prompt_len:] @ values_BHTD
        return output_BHGD.reshape(lanes, heads * groups, 1, width)

    def keep(self, questions: Tensor, lanes_B: Tensor) -> None:
        """Gather the questions and lanes that go on; loops read them where they are."""
        self.prompts = Caches(*(each[questions] for each in self.prompts))
        self.lanes = Caches(*(each[lanes_B] for each in self.lanes))

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of a mask; our attention needs none."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Positions that are stored of each text."""
        return 0 if self.prefilling else self._longest + self.filled

    def get_max_length(self) -> int:
        """No limit of its own."""
        return -1

    def _store_prompts(self, keys_CHPD: Tensor, values_CHPD: Tensor) -> None:
        if not self.is_initialized:
            self.lazy_initialization(keys_CHPD, values_CHPD)
        chunk, length = slice(self._read, self._read + len(keys_CHPD)), keys_CHPD.shape[2]
        self.prompts.keys[chunk, :, :length] = keys_CHPD
        if self._in_pairs:
            self.prompts.values[chunk, :, : (length + 1) // 2, :, 0] = values_CHPD[:, :, 0::2]
            self.prompts.values[chunk, :, : length // 2, :, 1] = values_CHPD[:, :, 1::2]
        else:
            self.prompts.values[chunk, :, :length] = values_CHPD
        self._read += len(keys_CHPD)

    def _room(self, like: Tensor, texts: int, heads: int, steps: int, width: int, *, zeros: bool = False) -> Caches:
        make = like.new_zeros if zeros else like.new_empty
        if not self._in_pairs:
            return Caches(make((texts, heads, steps, width)), make((texts, heads, steps, width)))
        steps = -(-steps // STEPS) * STEPS
        keys = make((texts, heads, steps, width), dtype=torch.bfloat16)
        return Caches(keys, make((texts, heads, steps // 2, width, 2), dtype=torch.bfloat16))


def _by_question(each_BHGX: Tensor, questions: int) -> Tensor:
    """Put what belongs to the lanes of a question into one row, (Q, H, R, X)."""
    lanes, heads, groups, size = each_BHGX.shape
    slots = lanes // questions
    return (
        each_BHGX.view(questions, slots, heads, groups, size)
        .transpose(1, 2)
        .reshape(questions, heads, slots * groups, size)
    )


def _by_lane(each_QHRX: Tensor, groups: int) -> Tensor:
    """Take it apart again, (B, H, G, X)."""
    questions, heads, rows, size = each_QHRX.shape
    return (
        each_QHRX.view(questions, heads, rows // groups, groups, size).transpose(1, 2).reshape(-1, heads, groups, size)
    )
