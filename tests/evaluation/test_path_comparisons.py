"""Comparisons of mined paths, by hand."""

import pytest

from sert.evaluation.multiplicity import holm
from sert.evaluation.path_comparisons import MinedPaths, compare_paths


def mined(variant: str, seed: int, true: list[float], selected: list[float | None]) -> MinedPaths:
    some = [float(share > 0) for share in true]
    return MinedPaths("s", "t", variant, seed, some[::-1], true, selected)


MAIN = [
    mined("main", 0, [0.2, 0.4, 0.0, 0.8], [1.0, 0.0, None, 1.0]),
    mined("main", 1, [0.4, 0.4, 0.0, 0.4], [1.0, 1.0, None, None]),
]


def test_selected_paths_are_compared_with_all_of_their_question() -> None:
    (row,) = compare_paths(MAIN)
    assert (row["a"], row["b"], row["measure"]) == ("selected", "mined", "true_share")
    # Averages over seeds of three questions, one has no selected path: 1 - 0.3, 0.5 - 0.4, 1 - 0.6.
    assert row["difference"] == pytest.approx((0.7 + 0.1 + 0.4) / 3)
    assert (row["n"], row["seeds"], row["p_value"]) == (3, 2, pytest.approx(2 / 2**3))


def test_shapes_are_compared_on_the_seeds_that_both_have() -> None:
    every = compare_paths([*MAIN, mined("raw", 1, [0.0, 0.4, 0.2, 0.0], [None, 1.0, 1.0, None])])
    _, *rows = every
    assert [(row["a"], row["b"], row["measure"], row["seeds"]) for row in rows] == [
        ("main", "raw", measure, 1) for measure in ("true_share", "questions_true", "questions_kept")
    ]
    assert [row["difference"] for row in rows] == pytest.approx([(0.4 + 0.0 - 0.2 + 0.4) / 4, 1 / 4, 1 / 4])
    assert [row["p_holm"] for row in every] == holm([row["p_value"] for row in every])


def test_without_a_verifier_only_what_is_kept_is_compared() -> None:
    unknown = [MinedPaths("s", "t", variant, 0, [1.0, kept], [], []) for variant, kept in (("main", 1), ("raw", 0))]
    (row,) = compare_paths(unknown)
    assert (row["measure"], row["difference"]) == ("questions_kept", 0.5)
