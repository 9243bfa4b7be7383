"""Shares and means over clusters: by hand, at their limits, and against scipy."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student_t

from sert.stats.clusters import clustered_mean, clustered_share, clusters_needed


def test_a_share_by_hand() -> None:
    """Clusters 1 of 2, 3 of 4 and 0 of 2: p = 1/2; residues 0, 1, -1; v = 3/2 * 2 / 64 = 3/64; size 1/4 / v = 16/3."""
    found = clustered_share([1, 3, 0], [2, 4, 2])
    assert (found.hits, found.total, found.share, found.clusters) == (4, 8, 0.5, 3)
    squared = 4.302652729911275**2  # Student's quantile for two degrees of freedom
    half = math.sqrt(squared * 0.25 / (16 / 3) + squared**2 / (4 * (16 / 3) ** 2)) / (1 + squared / (16 / 3))
    assert found.interval == pytest.approx((0.5 - half, 0.5 + half))
    assert found.interval == pytest.approx((0.0594, 0.9406), abs=1e-4)


def test_clusters_that_hold_nothing_count_for_nothing() -> None:
    assert clustered_share([1, 0, 3, 0], [2, 0, 4, 2]) == clustered_share([1, 3, 0], [2, 4, 2])
    empty = clustered_share([0, 0], [0, 0])
    assert (empty.share, empty.interval, empty.clusters) == (None, None, 0)
    assert clustered_share([1], [2])[2:] == (0.5, None, 1)


def test_one_observation_a_cluster_is_nearly_wilsons_interval() -> None:
    hits = [1.0] * 300 + [0.0] * 700
    low, high = binomtest(300, 1000).proportion_ci(0.95, method="wilson")
    assert clustered_share(hits, [1.0] * 1000).interval == pytest.approx((low, high), abs=1e-4)


def test_equal_clusters_are_nearly_students_interval_of_their_shares() -> None:
    shares = np.random.default_rng(0).binomial(20, 0.4, 400) / 20
    found = clustered_share((20 * shares).tolist(), [20.0] * 400)
    ends = student_t.interval(0.95, 399, loc=shares.mean(), scale=shares.std(ddof=1) / 20)
    assert found.share == pytest.approx(shares.mean())
    assert found.interval == pytest.approx(ends, abs=2e-4)


def test_where_nothing_or_all_hits_each_cluster_counts_once() -> None:
    low, high = clustered_share([0] * 20, [25] * 20).interval
    squared = student_t.ppf(0.975, 19) ** 2
    assert (low, high) == (0, pytest.approx(squared / (20 + squared)))
    assert clustered_share([25] * 20, [25] * 20).interval == pytest.approx((1 - high, 1.0))


def test_equal_shares_are_worth_no_more_than_all_observations() -> None:
    low, high = binomtest(5000, 10000).proportion_ci(0.95, method="wilson")
    assert clustered_share([5.0] * 1000, [10.0] * 1000).interval == pytest.approx((low, high), abs=1e-4)


def test_a_mean_by_hand() -> None:
    """Sums 3, -1 and 4 of 2, 1 and 3 things: 6 / 6 = 1; residues 1, -2, 1; v = 3/2 * 6 / 36 = 1/4."""
    found = clustered_mean([3, -1, 4], [2, 1, 3])
    assert (found.mean, found.total, found.clusters) == (1.0, 6.0, 3)
    half = 4.302652729911275 / 2  # Student's quantile for two degrees of freedom
    assert found.interval == pytest.approx((1 - half, 1 + half))


def test_one_thing_a_cluster_is_students_interval() -> None:
    values = np.random.default_rng(1).normal(2.0, 3.0, 40)
    found = clustered_mean(values.tolist(), [1.0] * 40)
    ends = student_t.interval(0.95, 39, loc=values.mean(), scale=values.std(ddof=1) / math.sqrt(40))
    assert found.mean == pytest.approx(values.mean()) and found.interval == pytest.approx(ends)


def test_means_of_too_few_clusters() -> None:
    assert clustered_mean([0, 5.0], [0, 2]) == (2.5, None, 2.0, 1)
    assert clustered_mean([0.0], [0]) == (None, None, 0.0, 0)


def test_questions_that_are_needed_by_hand() -> None:
    """Differences -1/2 and 1/2 have a standard deviation of 1/sqrt(2): (2.8016 / 0.1)^2 / 2 = 392.4."""
    assert clusters_needed([-0.5, 0.5], difference=0.1) == 393
    assert clusters_needed([0.5, 0.5], difference=0.1) is None
    assert clusters_needed([0.5], difference=0.1) is None
