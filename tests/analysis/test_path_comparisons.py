"""Comparisons of mined paths, by hand."""

import pytest

from sert.analysis.path_comparisons import MinedPaths, compare_paths
from sert.stats.holm import holm


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
    # Averages of three questions over the seeds that selected a path for them: 1 - 0.3, 0.5 - 0.4, 1 - 0.8.
    assert row["difference"] == pytest.approx((0.7 + 0.1 + 0.2) / 3)
    assert (row["n"], row["seeds"], row["p_value"]) == (3, 2, pytest.approx(2 / 2**3))


def test_shapes_are_compared_on_the_seeds_that_both_have() -> None:
    every = compare_paths([*MAIN, mined("raw", 1, [0.0, 0.4, 0.2, 0.0], [None, 1.0, 1.0, None])])
    _, *rows = every
    assert [(row["a"], row["b"], row["measure"], row["seeds"]) for row in rows] == [
        ("main", "raw", measure, 1) for measure in ("true_share", "questions_true", "questions_kept")
    ]
    assert [row["difference"] for row in rows] == pytest.approx([(0.4 + 0.0 - 0.2 + 0.4) / 4, 1 / 4, 1 / 4])
    assert [row["p_holm"] for row in every] == holm([row["p_value"] for row in every])


def test_a_seed_where_paths_were_stopped_early_is_left_out_of_what_is_true() -> None:
    stopped = MinedPaths("s", "t", "main", 0, [1.0, 0.0, 1.0, 1.0], [], [])
    raw = [mined("raw", seed, [0.0, 0.4, 0.2, 0.0], [None, 1.0, 1.0, None]) for seed in (0, 1)]
    rows = {(row["a"], row["measure"]): row for row in compare_paths([stopped, MAIN[1], *raw])}
    assert rows["selected", "true_share"]["seeds"] == rows["main", "true_share"]["seeds"] == 1
    assert rows["main", "true_share"]["difference"] == pytest.approx((0.4 + 0.0 - 0.2 + 0.4) / 4)
    assert rows["main", "questions_kept"]["seeds"] == 2
    unknown = compare_paths([stopped, *raw])
    assert [(row["measure"], row["seeds"]) for row in unknown] == [("questions_kept", 1)]


def test_without_a_verifier_only_what_is_kept_is_compared() -> None:
    unknown = [MinedPaths("s", "t", variant, 0, [1.0, kept], [], []) for variant, kept in (("main", 1), ("raw", 0))]
    (row,) = compare_paths(unknown)
    assert (row["measure"], row["difference"]) == ("questions_kept", 0.5)
