"""The curve of a training: what each step's loss, gradient norm and learning rate were."""

import math

import torch
from torch import Tensor

from sert.errors import NonFiniteError

READ_EVERY = 16
"""Steps between readings of loss and gradient norm from an accelerator, which must not wait for its host."""


class LossCurve:
    """Loss and gradient norm of each step: tensors first, numbers in `lines` once they are read."""

    def __init__(self, label: str, lines: list[dict[str, float]], *, read_every: int) -> None:
        self.lines, self._label = lines, label
        self._read_every = read_every
        self._unread: list[tuple[Tensor, Tensor, float]] = []

    def add(self, loss: Tensor, grad_norm: Tensor, rate: float, *, last: bool) -> int:
        """Note a step, and read what is unread when it is time.

        Returns:
            How many steps were read.

        Raises:
            NonFiniteError: Naming the first of them that is not finite.
        """
        self._unread.append((loss, grad_norm, rate))
        if len(self._unread) < self._read_every and not last:
            return 0
        values = torch.stack([torch.stack([loss, norm.to(loss)]) for loss, norm, _ in self._unread]).tolist()
        for (loss_value, norm_value), (_, _, rate_value) in zip(values, self._unread, strict=True):
            step = len(self.lines) + 1
            if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
                raise NonFiniteError(
                    f"{self._label}: loss {loss_value}, gradient norm {norm_value} at step {step}; the step was not "
                    "applied. Lower training.learning_rate or set training.max_grad_norm."
                )
            self.lines.append({"step": step, "loss": loss_value, "grad_norm": norm_value, "lr": rate_value})
        self._unread.clear()
        return len(values)
