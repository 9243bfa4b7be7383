"""How probable given texts are to a student, by forward passes that read what texts have in common once.

Texts that begin alike, as paths of one question and possible answers behind one path do, are laid out as a tree of
tokens in one row, each branch behind what it continues. A token sees what its own text has before it, at its place in
its own text, so that it gets what a forward pass of that text alone gives. A student of which that is not true is shown
each text alone: it has windows or states, or counts positions itself. It is tried on the texts themselves.

Shapes: L tokens of a tree, N places where something is predicted, M predicted tokens, V vocabulary.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sert.records import Example
from sert.student.decoding.proof import known_refusal
from sert.student.load import Student
from sert.student.speed.memory import is_out_of_memory
from sert.student.speed.patches import head_on_rows
from sert.student.training.batching import EncodedExample, encode_example

TOGETHER = 8
"""Texts without a common beginning that are read at a time."""
TREE_TOKENS = 512
"""Tokens of a tree at most, unless a single text has more: enough for a processor's products, and few enough that
attention, which looks at all pairs of them, costs little."""
ACCELERATED_TREE_TOKENS = 4096
"""The same on accelerators."""
LARGEST_DIFFERENCE = 1e-3
"""How far a log-probability of a token in a tree may lie from that of its text alone, in nats."""
_TRIED = 2
"""Texts of a tree that are read alone, too."""

Beginning = tuple[int, ...]
"""All tokens of a text but the last one, which nothing is predicted from."""


def encode_answer(student: Student, example: Example) -> EncodedExample:
    """Make the tokens of a prompt and of a completion as training has them, without the token that ends it."""
    token_ids, num_masked = encode_example(student, example, loss_on_prompt=False)
    return EncodedExample(token_ids[:-1], num_masked)


@torch.no_grad()
def log_probabilities(
    student: Student,
    encoded: Sequence[EncodedExample],
    *,
    progress: Callable[[int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> list[float]:
    """Sum the log-probabilities of the supervised tokens of each text, in nats; 0 where there are none.

    `progress` is told how many more texts are scored, `say` why nothing is shared where that is so.
    """
    student.model.eval()
    texts: dict[Beginning, list[int]] = {}
    for number, each in enumerate(encoded):
        if each.num_supervised > 0:
            texts.setdefault(tuple(each.token_ids[:-1]), []).append(number)
    sums, scorer = [0.0] * len(encoded), _Scorer(student, encoded, texts)
    trees = [*lay_out(texts, most=TREE_TOKENS if student.device.type == "cpu" else ACCELERATED_TREE_TOKENS)]
    if (reason := scorer.refuses(trees)) is not None:
        trees = [*lay_out(texts, most=0)]
        if say is not None:
            say(f"warning: texts share no passes, which takes longer: {reason}")
    for batch in _batches(trees):
        found = scorer.sums_of(batch)
        for number, total in found.items():
            sums[number] = total
        if progress is not None:
            progress(len(found))
    return sums


class Tree:
    """Texts that may begin alike, as a row of tokens: each branch stands behind what it continues, the next behind it.

    Attributes:
        token_ids: The tokens.
        positions: The place of each in its own texts.
        ends: Where what continues it ends in the row.
        places: Text -> the places of its tokens in the row.
    """

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self.positions: list[int] = []
        self.ends: list[int] = []
        self.places: dict[Beginning, list[int]] = {}
        self._last: Beginning = ()

    def __len__(self) -> int:
        return len(self.token_ids)

    def shared(self, text: Beginning) -> int:
        """Count the tokens that a text begins with and the last one did, too."""
        pairs = enumerate(zip(text, self._last, strict=False))
        return next((place for place, (ours, theirs) in pairs if ours != theirs), min(len(text), len(self._last)))

    def add(self, text: Beginning) -> None:
        """Lay out one more text; texts come in their alphabetical order, so that none has more of it than the last."""
        shared, start = self.shared(text), len(self)
        self.token_ids += text[shared:]
        self.positions += range(shared, len(text))
        self.ends += [0] * (len(text) - shared)
        places = [*self.places.get(self._last, ())[:shared], *range(start, len(self))]
        for place in places:
            self.ends[place] = len(self)
        self.places[text], self._last = places, text

    def visible(self, device: torch.device) -> Tensor:
        """Say which tokens each one sees, (L, L)."""
        places_L, ends_L = torch.arange(len(self), device=device), torch.tensor(self.ends, device=device)
        return (places_L <= places_L[:, None]) & (places_L[:, None] < ends_L)


def lay_out(texts: Collection[Beginning], *, most: int) -> Iterator[Tree]:
    """Lay texts out in trees of at most `most` tokens; what shares nothing with the text before begins another one."""
    tree = Tree()
    for text in sorted(texts):
        shared = tree.shared(text)
        if tree.places and (not shared or len(tree) + len(text) - shared > most):
            yield tree
            tree = Tree()
        tree.add(text)
    if tree.places:
        yield tree


def _batches(trees: Sequence[Tree]) -> Iterator[list[Tree]]:
    """Read each tree of several texts by itself, and single texts some together, those of like length."""
    yield from ([tree] for tree in trees if len(tree.places) > 1)
    single = sorted((tree for tree in trees if len(tree.places) == 1), key=len)
    yield from (single[start : start + TOGETHER] for start in range(0, len(single), TOGETHER))


class _Scorer:
    """Scores texts, given as encoded, and as their beginnings with the numbers of the texts."""

    def __init__(
        self, student: Student, encoded: Sequence[EncodedExample], texts: Mapping[Beginning, Sequence[int]]
    ) -> None:
        self._student, self._encoded, self._texts = student, encoded, texts
        self._tried: tuple[Tree, dict[int, float]] | None = None

    def refuses(self, trees: Sequence[Tree]) -> str | None:
        """Say why texts cannot be read in trees; None where they can: the largest tree gives what its texts give."""
        several = [tree for tree in trees if len(tree.places) > 1]
        if not several:
            return None
        longest = max(len(text) for tree in several for text in tree.places)
        if (known := known_refusal(self._student.model.config, longest)) is not None:
            return known
        tree = max(several, key=len)
        tried = [*tree.places][:: -max(1, len(tree.places) // _TRIED)][:_TRIED]
        alone = self.sums_of([single for text in tried for single in lay_out([text], most=0)])
        try:
            together = self.sums_of([tree])
        except (IndexError, NotImplementedError, TypeError, ValueError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            return f"{type(error).__name__} with a mask of its own"
        self._tried = tree, together
        off = max(abs(together[each] - total) / self._encoded[each].num_supervised for each, total in alone.items())
        return None if off <= LARGEST_DIFFERENCE else f"a token differs by {off:.2g} nats"

    def sums_of(self, trees: Sequence[Tree]) -> dict[int, float]:
        """Sum the log-probabilities of the texts of one tree, or of trees of one text each: number -> nats."""
        if self._tried is not None and trees[0] is self._tried[0]:
            return self._tried[1]
        width, sums = max(map(len, trees)), dict[int, float]()
        predicted: list[tuple[int, list[int], list[int]]] = []  # number of the text, places in the batch, tokens
        for row, tree in enumerate(trees):
            for text, places in tree.places.items():
                for number in self._texts[text]:
                    token_ids, num_masked = self._encoded[number]
                    first = max(num_masked, 1)
                    at = [row * width + place for place in places[first - 1 :]]
                    predicted.append((number, at, token_ids[first:]))
        distinct = sorted({place for _, at, _ in predicted for place in at})
        rows = {place: row for row, place in enumerate(distinct)}
        device = self._student.device
        logits_NV = self._logits(trees, torch.tensor(distinct, device=device))
        rows_M = torch.tensor([rows[place] for _, at, _ in predicted for place in at], device=device)
        targets_M = torch.tensor([token for _, _, tokens in predicted for token in tokens], device=device)
        logprobs_M = (logits_NV[rows_M, targets_M] - logits_NV.logsumexp(-1)[rows_M]).double().cpu()
        parts = torch.split(logprobs_M, [len(tokens) for _, _, tokens in predicted])
        for (number, _, _), part in zip(predicted, parts, strict=True):
            sums[number] = float(part.sum())
        return sums

    def _logits(self, trees: Sequence[Tree], places_N: Tensor) -> Tensor:
        """Compute the logits at some places of the batch, in float32."""
        model, device = self._student.model, self._student.device
        ids_BL = pad_sequence([torch.tensor(tree.token_ids) for tree in trees], batch_first=True).to(device)
        told: dict[str, Any] = {}
        if len(trees[0].places) > 1:
            mask_LL = torch.zeros(2 * ids_BL.shape[1:], dtype=model.dtype, device=device)
            told["attention_mask"] = mask_LL.masked_fill(~trees[0].visible(device), -torch.inf)[None, None]
            told["position_ids"] = torch.tensor([trees[0].positions], device=device)
        with head_on_rows(model.get_output_embeddings(), places_N, shape=(ids_BL.shape[0], ids_BL.shape[1])):
            logits = model(input_ids=ids_BL, use_cache=False, **told).logits
        logits_NV: Tensor = logits.flatten(0, -2)
        if len(logits_NV) == ids_BL.numel():  # of every place
            logits_NV = logits_NV.index_select(0, places_N)
        return logits_NV.float()
