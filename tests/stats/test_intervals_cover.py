"""Whether 95 % intervals hold the truth in 95 % of all cases, and tests find nothing where there is nothing.

For shares of one seed this is counted exactly, by summing over all that could be observed. The rest is simulated.
"""

import math
from bisect import bisect_left

import numpy as np
import pytest
from scipy.stats import binom, norm

from sert.stats.clusters import clustered_share
from sert.stats.means import paired_bootstrap
from sert.stats.seeds import over_seeds, paired_over_seeds, paired_where
from sert.stats.shares import agresti_min, wilson_interval


def error(trials):
    """How far a simulated share may lie beyond a bound: nothing in the full count, else 3.5 standard errors."""
    return 0.0 if trials >= 20_000 else 3.5 * math.sqrt(0.95 * 0.05 / trials)


def assert_calibrated(covered, rejected, *, trials, lowest=0.94, highest=0.96):
    assert lowest - error(trials) <= covered / trials <= highest + error(trials)
    assert rejected / trials <= 0.055 + error(trials)


# ---- exactly


@pytest.mark.parametrize(
    ("n", "lowest", "highest"), [(100, 0.932, 0.966), (229, 0.938, 0.962), (687, 0.942, 0.957), (1221, 0.944, 0.956)]
)
def test_wilson_covers_every_accuracy(n, lowest, highest):
    # Coverage jumps where the truth passes an end of an interval, and is smooth between.
    ends = np.array([wilson_interval(correct, n) for correct in range(n + 1)])
    truths = np.concatenate([ends - 1e-9, ends + 1e-9], axis=None)
    truths = truths[(truths >= 0.2) & (truths <= 0.9)]
    assert (np.diff(ends, axis=0) > 0).all()  # so those that hold a truth stand side by side
    first = np.searchsorted(ends[:, 1], truths, side="left")
    behind = np.searchsorted(ends[:, 0], truths, side="right")
    coverage = binom.cdf(behind - 1, n, truths) - binom.cdf(first - 1, n, truths)
    assert lowest <= coverage.min()
    assert coverage.max() <= highest
    assert coverage.mean() == pytest.approx(0.95, abs=0.001)


def paired_coverage(n, discordant, difference):
    """Sum the chances of all pairs of (only a, only b) whose interval holds the difference."""
    coverage = 0.0
    m_chances = binom.pmf(np.arange(n + 1), n, discordant)
    for m in np.flatnonzero(m_chances > 1e-9):
        chances = m_chances[m] * binom.pmf(np.arange(m + 1), m, (1 + difference / discordant) / 2)
        for only_a in np.flatnonzero(chances > 1e-9):
            low, high = agresti_min(2 * only_a - m, m, n=n)
            coverage += chances[only_a] * (low <= difference <= high)
    return coverage


@pytest.mark.parametrize("n", [229, 687])
@pytest.mark.parametrize(
    ("discordant", "difference"), [(0.05, 0.0), (0.1, 0.05), (0.2, 0.0), (0.3, 0.03), (0.4, 0.2), (0.5, 0.0)]
)
def test_agresti_and_min_cover_every_difference(n, discordant, difference):
    assert 0.945 <= paired_coverage(n, discordant, difference) <= 0.96


@pytest.mark.parametrize(("n", "coverage"), [(229, 0.9786), (687, 0.9599), (1221, 0.9562)])
def test_agresti_and_min_are_cautious_where_methods_hardly_disagree(n, coverage):
    assert paired_coverage(n, 0.02, 0.0) == pytest.approx(coverage, abs=1e-4)


@pytest.mark.parametrize(("n", "discordant", "coverage"), [(229, 0.06, 0.9236), (687, 0.03, 0.9398)])
def test_agresti_and_min_are_too_narrow_where_few_discordant_questions_go_one_way(n, discordant, coverage):
    assert paired_coverage(n, discordant, 0.995 * discordant) == pytest.approx(coverage, abs=1e-4)


@pytest.mark.parametrize("n", [229, 687, 1221])
@pytest.mark.parametrize("discordant", [0.02, 0.1, 0.3, 0.5])
def test_mcnemar_never_finds_too_much(n, discordant):
    m_chances = binom.pmf(np.arange(n + 1), n, discordant)
    level = 0.0
    for m in np.flatnonzero(m_chances > 1e-9):

        def p_value(only_a, m=int(m)):
            a = [True] * only_a + [False] * (m - only_a)
            return paired_over_seeds([a], [[not right for right in a]]).p_value

        significant = bisect_left(range(m // 2), True, key=lambda only_a: p_value(only_a) > 0.05)
        level += m_chances[m] * 2 * binom.cdf(significant - 1, m, 0.5)
    # An exact test on few discordant questions is far below its level; on many it comes near.
    assert level <= 0.05
    assert level >= 0.03 or n * discordant < 30


# ---- simulated


def draw_answers(generator, accuracies, *, n, seeds, shared, own):
    """Draw whether two methods are right: probit answers, as alike as questions are alike for both and for each.

    Of the variance of what decides an answer, `shared` is the question's, `own` that of question and method, 1 chance.
    """
    question = math.sqrt(shared) * generator.normal(size=n)
    for accuracy in accuracies:
        ease = norm.ppf(accuracy) * math.sqrt(1 + shared + own) + question + math.sqrt(own) * generator.normal(size=n)
        yield ease + generator.normal(size=(seeds, n)) > 0


SETTINGS = [
    # n, seeds, accuracies, what questions share, what is a method's own
    (229, 5, (0.5, 0.5), 0.0, 0.0),
    (229, 5, (0.2, 0.2), 20.0, 0.05),
    (229, 5, (0.9, 0.87), 1.0, 4.0),
    (229, 1, (0.55, 0.5), 1.0, 1.0),
    (687, 5, (0.57, 0.53), 1.0, 1.0),
    (687, 5, (0.5, 0.5), 5.0, 30.0),
    (687, 5, (0.9, 0.9), 4.0, 0.1),
    (1221, 5, (0.26, 0.22), 1.0, 4.0),
    (1221, 5, (0.2, 0.2), 0.0, 0.0),
]


@pytest.mark.soak
@pytest.mark.parametrize(("n", "seeds", "accuracies", "shared", "own"), SETTINGS)
def test_comparisons_over_seeds_are_calibrated(n, seeds, accuracies, shared, own, full):
    trials = 20_000 if full else 200
    generator = np.random.default_rng([n, seeds, int(100 * accuracies[0])])
    truth = accuracies[0] - accuracies[1]
    covered = rejected = 0
    for _ in range(trials):
        a, b = draw_answers(generator, accuracies, n=n, seeds=seeds, shared=shared, own=own)
        result = paired_over_seeds(a, b)
        covered += result.low <= truth <= result.high
        rejected += result.p_value <= 0.05
    print(f"covered {covered / trials:.4f}, rejected {rejected / trials:.4f}")
    assert_calibrated(covered, 0 if truth else rejected, trials=trials)


@pytest.mark.soak
@pytest.mark.parametrize(("n", "seeds"), [(120, 1), (229, 3), (687, 5)])
def test_comparisons_of_what_both_answered_are_calibrated(n, seeds, full):
    """Two methods that know as much; easy questions are answered more often, and by one method more often."""
    trials = 20_000 if full else 200
    generator = np.random.default_rng([n, seeds])
    covered = rejected = 0
    for _ in range(trials):
        ease = generator.normal(size=n)
        a, b = (norm.ppf(0.6) + ease + generator.normal(size=(seeds, n)) > 0 for _ in range(2))
        states_a, states_b = (bar + ease + generator.normal(size=(seeds, n)) > 0 for bar in (0.0, 1.0))
        result = paired_where(a, b, counted=states_a & states_b)
        covered += result.low <= 0 <= result.high
        rejected += result.p_value <= 0.05
    print(f"covered {covered / trials:.4f}, rejected {rejected / trials:.4f}")
    assert_calibrated(covered, rejected, trials=trials)


@pytest.mark.soak
@pytest.mark.parametrize("seeds", [3, 5])
def test_means_over_seeds_are_calibrated(seeds, full):
    # Accuracies on 687 questions that differ by the seed, with a standard deviation of one point.
    trials = 20_000 if full else 500
    generator = np.random.default_rng(seeds)
    covered = 0
    for _ in range(trials):
        by_seed = generator.binomial(687, np.clip(generator.normal(0.55, 0.01, seeds), 0, 1)) / 687
        low, high = over_seeds(by_seed.tolist()).interval
        covered += low <= 0.55 <= high
    print(f"covered {covered / trials:.4f}")
    assert_calibrated(covered, 0, trials=trials)


def draw_lengths(generator, n):
    """Lognormal lengths around 90 and 65 tokens, of unequal spread; long questions make both long."""
    question = np.exp(generator.normal(0, 0.3, n))
    a, b = np.exp(generator.normal(4.4, 0.4, n)), np.exp(generator.normal(4.0, 0.6, n))
    return question * a, question * b, math.exp(0.045) * (math.exp(4.4 + 0.08) - math.exp(4.0 + 0.18))


def draw_repetitions(generator, n):
    """Shares with means of 0.4 and 0.3, skewed to either side."""
    question = generator.beta(4, 1, n)
    return question * generator.beta(2, 2, n), question * generator.beta(1.5, 2.5, n), 0.8 * (0.5 - 0.375)


def draw_scores(generator, n):
    """Whole scores from 0 to 10, with means of 6 and 5.2."""
    question = generator.beta(8, 2, n)
    a, b = question * generator.beta(3, 1, n), question * generator.beta(6.5, 3.5, n)
    return generator.binomial(10, a), generator.binomial(10, b), 8 * (0.75 - 0.65)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("n", "draw"),
    [(n, draw) for n in (20, 100, 229) for draw in (draw_lengths, draw_repetitions, draw_scores)]
    + [(687, draw_lengths)],
)
def test_comparisons_of_means_are_calibrated(n, draw, full):
    trials = 20_000 if full else 100
    generator = np.random.default_rng([n, *draw.__name__.encode()])
    covered = rejected = 0
    for seed in range(trials):
        a, b, truth = draw(generator, n)
        # Taken away from a, the true difference is 0 while the two are still of different shapes.
        result = paired_bootstrap(a - truth, b, seed=seed, resamples=999)
        covered += result.low <= 0 <= result.high
        rejected += result.p_value <= 0.05
    print(f"covered {covered / trials:.4f}, rejected {rejected / trials:.4f}")
    assert_calibrated(covered, rejected, trials=trials)


@pytest.mark.soak
def test_the_bootstrap_is_too_narrow_where_few_questions_make_the_mean(full):
    trials = 10_000 if full else 300
    generator = np.random.default_rng(1)
    covered = 0
    for seed in range(trials):
        a = np.exp(generator.normal(0, 1, 100)) - math.exp(0.5)
        result = paired_bootstrap(a, np.zeros(100), seed=seed, resamples=999)
        covered += result.low <= 0 <= result.high
    print(f"covered {covered / trials:.4f}")
    assert 0.88 <= covered / trials <= 0.94


@pytest.mark.soak
@pytest.mark.parametrize(
    ("clusters", "share", "alike", "least"),
    [(100, 0.5, 2, 0.93), (100, 0.25, 2, 0.93), (100, 0.05, 2, 0.9), (20, 0.5, 0.3, 0.93), (20, 0.05, 0.3, 0.83)],
)
def test_shares_over_clusters_are_covered(clusters, share, alike, least, full):
    """Beta-distributed shares, the more alike within a cluster the smaller `alike` is, of 1 to 25 things each."""
    trials = 20_000 if full else 300
    generator = np.random.default_rng([clusters, round(100 * share)])
    covered = 0
    for _ in range(trials):
        of_each = generator.beta(share * alike, (1 - share) * alike, clusters)
        totals = generator.integers(1, 26, clusters)
        low, high = clustered_share(generator.binomial(totals, of_each).tolist(), totals.tolist()).interval
        covered += low <= share <= high
    print(f"covered {covered / trials:.4f}")
    margin = 3 * math.sqrt(least * (1 - least) / trials)
    assert least - margin <= covered / trials <= 0.97 + 3 * math.sqrt(0.97 * 0.03 / trials)
