"""Keys and values of prompts and lanes, and attention over both.

Shapes: Q questions, S lane slots a question, B = Q * S lanes, H key-value heads, G query heads a key-value head,
P prompt positions, T decoding steps, D head width, R = S * G.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from sert.student.kernels import Kernels


class LaneLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers has no types
    """Keys and values of one layer: (Q, H, P, D) of the prompts, (B, H, T, D) of the lanes."""

    def __init__(self) -> None:
        super().__init__()
        self.lane_keys: Tensor | None = None
        self.lane_values: Tensor | None = None
        self.filled = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Take the prompts' keys and values as they come out of the prefill."""
        self.keys, self.values = key_states, value_states
        self.is_initialized = True

    def allocate(self, slots: int, *, max_steps: int, dtype: torch.dtype) -> None:
        """Make room for the lanes."""
        assert self.keys is not None and self.values is not None
        self.keys, self.values = self.keys.contiguous(), self.values.contiguous()
        questions, heads, _, width = self.keys.shape
        shape = (questions * slots, heads, max_steps, width)
        self.lane_keys = self.keys.new_empty(shape, dtype=dtype)
        self.lane_values = self.keys.new_empty(shape, dtype=dtype)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store the keys and values of the prefill, or of one step."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        else:
            assert self.lane_keys is not None and self.lane_values is not None
            self.lane_keys[:, :, self.filled] = key_states[:, :, 0]
            self.lane_values[:, :, self.filled] = value_states[:, :, 0]
            self.filled += 1
        return key_states, value_states

    def attend(self, query_BHGD: Tensor, prompt_mask_Q11P: Tensor, *, scaling: float) -> Tensor:
        """Attend over prompt and lane with one softmax; exact, the prompt is read once a question. (B, H*G, 1, D)."""
        assert self.keys is not None and self.values is not None
        assert self.lane_keys is not None and self.lane_values is not None
        lanes, heads, groups, width = query_BHGD.shape
        questions = self.keys.shape[0]
        slots = lanes // questions
        query_QHSGD = query_BHGD.view(questions, slots, heads, groups, width).transpose(1, 2)
        query_QHRD = query_QHSGD.reshape(questions, heads, slots * groups, width)
        prompt_QHRP = query_QHRD @ self.keys.transpose(2, 3) * scaling + prompt_mask_Q11P
        prompt_len = prompt_QHRP.shape[3]
        prompt_BHGP = (
            prompt_QHRP.view(questions, heads, slots, groups, prompt_len)
            .transpose(1, 2)
            .reshape(lanes, heads, groups, prompt_len)
        )
        keys_BHTD, values_BHTD = self.lane_keys[:, :, : self.filled], self.lane_values[:, :, : self.filled]
        lane_BHGT = query_BHGD @ keys_BHTD.transpose(2, 3) * scaling
        weights = torch.cat([prompt_BHGP, lane_BHGT], dim=3).softmax(dim=3, dtype=torch.float32).to(query_BHGD.dtype)
        prompt_weights_QHRP = (
            weights[..., :prompt_len]
            .view(questions, slots, heads, groups, prompt_len)
            .transpose(1, 2)
            .reshape(questions, heads, slots * groups, prompt_len)
        )
        from_prompt_BHGD = (
            (prompt_weights_QHRP @ self.values)
            .view(questions, heads, slots, groups, width)
            .transpose(1, 2)
            .reshape(lanes, heads, groups, width)
        )
        output_BHGD = from_prompt_BHGD + weights[..., prompt_len:] @ values_BHTD
        return output_BHGD.reshape(lanes, heads * groups, 1, width)

    def attend_compiled(self, kernels: Kernels, query_BND: Tensor, lengths_Q: Tensor, *, scaling: float) -> Tensor:
        """The same in compiled loops, for all N = H * G query heads. (B, N, D)."""
        assert self.keys is not None and self.values is not None
        assert self.lane_keys is not None and self.lane_values is not None
        prompt, lane = (self.keys, self.values), (self.lane_keys, self.lane_values)
        return kernels.attend(query_BND, prompt, lengths_Q, lane, filled=self.filled, scaling=scaling)

    def keep(self, questions: Tensor, lanes_B: Tensor) -> None:
        """Gather the questions and lanes that go on."""
        assert self.keys is not None and self.values is not None
        assert self.lane_keys is not None and self.lane_values is not None
        self.keys, self.values = self.keys[questions], self.values[questions]
        self.lane_keys, self.lane_values = self.lane_keys[lanes_B], self.lane_values[lanes_B]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of a mask; our attention needs none."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Positions that are stored."""
        return 0 if self.keys is None else self.keys.shape[2] + self.filled

    def get_max_length(self) -> int:
        """No limit of its own."""
        return -1
