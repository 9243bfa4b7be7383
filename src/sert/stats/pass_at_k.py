"""pass@k: how often at least one of k samples of a question is right."""

import numpy as np
from scipy.stats import hypergeom

KS = (1, 2, 5, 10, 25, 50, 100)
"""Numbers of samples that pass@k is told of, as far as there are so many; and of all that there are."""


def ks_of(n: int) -> list[int]:
    """List the numbers of samples that are told of where there are `n`."""
    return [*(k for k in KS if k < n), n]


def pass_at_k(n: int, right: int, k: int) -> float:
    """Chance that k of n samples, drawn without putting back, hold one of the right ones: 1 - C(n-c, k) / C(n, k).

    Of independent samples it is the unbiased estimate of that of k new ones (M. Chen et al., "Evaluating large
    language models trained on code", arXiv 2107.03374). `k` is at most `n`.
    """
    missed = 1.0
    for drawn in range(k):
        missed *= max(n - right - drawn, 0) / (n - drawn)
    return 1 - missed


def guessed_pass_at_k(n: int, answered: int, k: int, *, chance: float) -> float:
    """The same for one who states an answer as often (`answered` of n) and is right each time by this chance alone.

    1 - E[(1 - chance)^J], J being how many of the k drawn samples state an answer.
    """
    stated = np.arange(min(k, answered) + 1)
    return 1 - float(hypergeom.pmf(stated, n, answered, k) @ (1 - chance) ** stated)
