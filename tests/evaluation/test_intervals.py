"""Intervals: each replicate is scikit-learn's metric of its rows, the methods are scipy's, and they cover the truth."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import INTERVAL_LEVEL, ClassificationMetrics, MultiLabelMetrics, RegressionMetrics
from bertworks.evaluation.bootstrap import Replicates, poisson_weights
from bertworks.evaluation.intervals import (
    Mean,
    _t_reach,
    intervals,
    linearized,
    mean_interval,
    percentile_interval,
    standard_interval,
    wilson_interval,
)
from bertworks.evaluation.ranks import resampled_spearman, weighted_spearman
from bertworks.evaluation.row_statistics import CALIBRATION_BINS, LabelSetStatistics, LabelStatistics, NumberStatistics

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

REPLICATES = 100
SHOWN = 25
"""Replicates that are compared with metrics of rows that are really repeated."""


def label_rows(seed: int, rows: int, labels: int, sureness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.integers(0, labels, rows)
    logits = random.normal(size=(rows, labels))
    logits[np.arange(rows), targets] += 1.5
    powers = np.exp(sureness * logits)
    return targets, powers / powers.sum(axis=1, keepdims=True)


def label_sets(seed: int, rows: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.random((rows, labels)) < 0.3
    return targets, np.clip(random.random((rows, labels)) * 0.6 + 0.4 * targets, 0.01, 0.99)


def number_rows(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.integers(0, 26, rows) / 5
    return targets, (targets + random.normal(size=rows)).round(1)


# ---- replicates


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_replicates_of_labels_are_weighted_metrics() -> None:
    targets, probabilities = label_rows(0, 60, 4)
    statistics, predicted = LabelStatistics(4), probabilities.argmax(axis=1)
    replicates = Replicates(REPLICATES, statistics.columns)
    replicates.add(statistics.of_rows(targets, probabilities))
    values = statistics.values(replicates.sums)
    for i, weight in enumerate(poisson_weights(0, np.arange(60), range(SHOWN)).T):
        drawn, guessed, sure = (np.repeat(of, weight, axis=0) for of in (targets, predicted, probabilities))
        assert values["accuracy"][i] == pytest.approx(reference.accuracy_score(drawn, guessed))
        for average in ("macro", "micro", "weighted"):
            assert values[f"{average}_f1"][i] == pytest.approx(reference.f1_score(drawn, guessed, average=average, zero_division=0))
        assert values["matthews_correlation"][i] == pytest.approx(reference.matthews_corrcoef(drawn, guessed))
        assert values["log_loss"][i] == pytest.approx(reference.log_loss(drawn, sure, labels=range(4)))
        metrics = ClassificationMetrics(range(4))
        metrics.update(drawn, sure)
        assert values["expected_calibration_error"][i] == pytest.approx(metrics.compute()["expected_calibration_error"])


def test_replicates_of_label_sets_are_weighted_metrics() -> None:
    targets, probabilities = label_sets(0, 50, 5)
    thresholds = np.array([0.3, 0.5, 0.6, 0.7, 0.4])
    statistics = LabelSetStatistics(5)
    replicates = Replicates(REPLICATES, statistics.columns)
    replicates.add(statistics.of_rows(targets, probabilities, thresholds))
    values = statistics.values(replicates.sums)
    for i, weight in enumerate(poisson_weights(0, np.arange(50), range(SHOWN)).T):
        drawn, sure = (np.repeat(of, weight, axis=0) for of in (targets, probabilities))
        for average in ("macro", "micro"):
            expected = reference.f1_score(drawn, sure >= thresholds, average=average, zero_division=0)
            assert values[f"{average}_f1"][i] == pytest.approx(expected)
        assert values["exact_match"][i] == pytest.approx(reference.accuracy_score(drawn, sure >= thresholds))
        losses = [reference.log_loss(drawn[:, label], sure[:, label], labels=[False, True]) for label in range(5)]
        assert values["log_loss"][i] == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_replicates_of_numbers_are_weighted_metrics(shift: float) -> None:
    targets, predictions = (of + shift for of in number_rows(0, 40))
    statistics = NumberStatistics(np.array([targets.mean(), predictions.mean()]))
    replicates = Replicates(REPLICATES, statistics.columns, seed=3)
    replicates.add(statistics.of_rows(targets, predictions))
    values = statistics.values(replicates.sums)
    values["spearman"] = resampled_spearman(targets, predictions, np.arange(40), REPLICATES, seed=3)
    for i, weight in enumerate(poisson_weights(3, np.arange(40), range(SHOWN)).T):
        drawn, answers = np.repeat(targets, weight), np.repeat(predictions, weight)
        assert values["pearson"][i] == pytest.approx(stats.pearsonr(drawn, answers).statistic, abs=1e-8)
        assert values["spearman"][i] == pytest.approx(stats.spearmanr(drawn, answers).statistic, abs=1e-12)
        assert values["mean_squared_error"][i] == pytest.approx(reference.mean_squared_error(drawn, answers))
        assert values["mean_absolute_error"][i] == pytest.approx(reference.mean_absolute_error(drawn, answers))
        assert values["r2"][i] == pytest.approx(reference.r2_score(drawn, answers), abs=1e-8)


def test_ranks_of_nothing_and_of_constants() -> None:
    weights = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 2, 3]], dtype=np.uint8)
    found = weighted_spearman(np.array([1.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0]), lambda some: weights[:, some.start : some.stop], 4)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(stats.spearmanr([1, 2, 2], [1, 2, 3]).statistic)
    assert found[2] == pytest.approx(stats.spearmanr([1, 2, 2], [1, 3, 3]).statistic)
    assert found[3] == 0.0


# ---- methods


@pytest.mark.parametrize(("hits", "rows"), [(0, 1), (1, 1), (0, 50), (50, 50), (37, 50), (871, 872), (12_000, 25_000)])
def test_wilson_is_scipys(hits: int, rows: int) -> None:
    expected = stats.binomtest(hits, rows).proportion_ci(INTERVAL_LEVEL, method="wilson")
    assert wilson_interval(hits / rows, rows) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("rows", [10, 30, 100, 3000])
def test_the_reach_is_that_of_students_t(rows: int) -> None:
    exact = stats.t(rows - 1).ppf((1 + INTERVAL_LEVEL) / 2) * np.sqrt(rows / (rows - 1))
    assert _t_reach(rows) == pytest.approx(exact, rel=2e-3)
    replicated = np.random.default_rng(0).normal(size=500)
    low, high = standard_interval(1.5, replicated, rows)
    assert (low + high) / 2 == pytest.approx(1.5)
    assert (high - low) / 2 == pytest.approx(exact * replicated.std(), rel=2e-3)


def test_accelerated_percentiles_are_scipys() -> None:
    """BCa of a skewed mean; scipy resamples with multinomial weights of its own, so ends agree to a part of the width."""
    losses = np.random.default_rng(4).exponential(size=400)
    weights = poisson_weights(0, np.arange(400), range(4000)).astype(float)
    replicated = losses @ weights / weights.sum(axis=0)
    ours = percentile_interval(losses.mean(), replicated, 400, float(stats.skew((losses - losses.mean()) @ weights)))
    theirs = stats.bootstrap((losses,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(0)).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.06 * (theirs.high - theirs.low))


@pytest.mark.parametrize(("share_below", "skewness"), [(0.5, 0.0), (0.7, 0.0), (0.35, 0.9), (0.6, -0.6)])
def test_percentiles_by_the_formula(share_below: float, skewness: float) -> None:
    """Efron (1987), equations 2.1 to 2.3, with Student's t in place of the normal quantile."""
    replicated = np.random.default_rng(6).gamma(4, size=1000)
    value = np.sort(replicated)[int(share_below * 1000)] - 1e-6
    bias, reach = stats.norm.ppf(share_below), stats.t(59).ppf(0.975) * np.sqrt(60 / 59)
    expected = []
    for quantile in (-reach, reach):
        level = stats.norm.cdf(bias + (bias + quantile) / (1 - skewness / 6 * (bias + quantile)))
        expected.append(np.quantile(replicated, level, method="hazen"))
    assert percentile_interval(value, replicated, 60, skewness) == pytest.approx(tuple(expected), rel=1e-3)


def test_the_linear_part_is_the_sum_of_the_rows_influences() -> None:
    """The jackknife gives each row's influence; weighted by the bootstrap's weights it is the linear part of a replicate."""
    targets, probabilities = label_rows(1, 300, 3)
    statistics = LabelStatistics(3)
    rows = statistics.of_rows(targets, probabilities)
    replicates = Replicates(400, statistics.columns)
    replicates.add(rows)
    weights = poisson_weights(0, np.arange(300), range(400)).astype(float)
    found = linearized(statistics, replicates.observed, replicates.sums)
    whole, without = statistics.values(replicates.observed), statistics.values(replicates.observed - rows)
    for name in ("macro_f1", "weighted_f1", "matthews_correlation", "log_loss"):
        expected = (whole[name] - without[name]) @ (weights - 1)
        assert np.corrcoef(found[name], expected)[0, 1] > 0.999, name
        assert found[name].std() == pytest.approx(expected.std(), rel=0.02)


def test_the_studentized_mean_by_hand() -> None:
    """Replicate by replicate: t of the logarithm, by the delta method."""
    losses = np.random.default_rng(5).exponential(size=80) ** 2
    rows = np.stack([np.ones(80), losses, losses**2], axis=1)
    replicates = Replicates(REPLICATES, 3)
    replicates.add(rows)
    studentized = []
    for weight in poisson_weights(0, np.arange(80), range(REPLICATES)).T:
        drawn = np.repeat(losses, weight)
        studentized.append(np.log(drawn.mean() / losses.mean()) / (drawn.std() / np.sqrt(len(drawn)) / drawn.mean()))
    error = losses.std() / np.sqrt(80) / losses.mean()
    high, low = np.quantile(studentized, [0.025, 0.975], method="hazen")
    expected = losses.mean() * np.exp([-low * error, -high * error])
    assert mean_interval(replicates.observed, replicates.sums, Mean(1, 2)) == pytest.approx(tuple(expected))


def test_chance_alone_is_no_calibration_error() -> None:
    """Calibrated answers have an error above 0 by chance, and an interval from 0 on; sure and wrong ones have not."""
    for sureness, calibrated in ((1.5, True), (6.0, False)):
        metrics = ClassificationMetrics("abc", replicates=200)
        metrics.update(*label_rows(6, 800, 3, sureness))
        result = metrics.compute()
        assert result["expected_calibration_error"] > 0.01
        assert (result["intervals"]["expected_calibration_error"][0] == 0) is calibrated


# ---- what metrics show


def test_every_number_has_an_interval_that_holds_it() -> None:
    for metrics, batch in (
        (ClassificationMetrics("abc", replicates=REPLICATES), label_rows(2, 90, 3)),
        (MultiLabelMetrics("abcd", replicates=REPLICATES), label_sets(2, 90, 4)),
        (RegressionMetrics(replicates=REPLICATES), number_rows(2, 90)),
    ):
        metrics.update(*batch)
        result = metrics.compute()
        assert set(result["intervals"]) == {name for name, value in result.items() if isinstance(value, float)}
        for name, (low, high) in result["intervals"].items():
            assert low <= result[name] <= high, name
            assert high - low > 0.01, name
        assert json.loads(json.dumps(result)) == result


def test_without_replicates_nothing_changes() -> None:
    plain, with_intervals = ClassificationMetrics("abc"), ClassificationMetrics("abc", replicates=REPLICATES)
    for metrics in (plain, with_intervals):
        metrics.update(*label_rows(2, 30, 3))
    result = with_intervals.compute()
    assert result.pop("intervals")
    assert result == plain.compute()


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 60), splits=st.lists(st.integers(0, 60), max_size=3), merged=st.booleans())
def test_any_split_and_merge_gives_the_same_intervals(seed: int, rows: int, splits: list[int], merged: bool) -> None:
    edges = [0, *sorted(min(split, rows) for split in splits), rows]
    for make, batch in (
        (lambda first: ClassificationMetrics("abc", replicates=REPLICATES, first_row=first), label_rows(seed, rows, 3)),
        (lambda first: MultiLabelMetrics("abc", replicates=REPLICATES, first_row=first), label_sets(seed, rows, 3)),
        (lambda first: RegressionMetrics(replicates=REPLICATES, first_row=first), number_rows(seed, rows)),
    ):
        whole, parts = make(0), make(0)
        whole.update(*batch)
        for start, stop in reversed(list(pairwise(edges))) if merged else pairwise(edges):
            part = make(start) if merged else parts
            part.update(*(of[start:stop] for of in batch))
            if merged:
                parts.merge(part)
        expected = whole.compute()["intervals"]
        for name, ends in parts.compute()["intervals"].items():
            assert ends == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


def test_the_seed_changes_the_bootstrap_but_little() -> None:
    found = []
    for seed in (0, 1):
        metrics = ClassificationMetrics("abc", replicates=1000, seed=seed)
        metrics.update(*label_rows(3, 500, 3))
        found.append(metrics.compute()["intervals"]["macro_f1"])
    assert found[0] != found[1]
    assert found[0] == pytest.approx(found[1], abs=0.1 * (found[0][1] - found[0][0]))


def test_metrics_with_other_replicates_are_not_merged() -> None:
    for make in (lambda **options: ClassificationMetrics("ab", **options), RegressionMetrics):
        with pytest.raises(DataError, match="replicates"):
            make().merge(make(replicates=100))
        with pytest.raises(DataError, match="seed"):
            make(replicates=100).merge(make(replicates=100, seed=1))
        with pytest.raises(SettingsError, match="at least 100"):
            make(replicates=50)
    first, second = RegressionMetrics(replicates=100), RegressionMetrics(replicates=100)
    for metrics in (first, second):
        metrics.update(np.arange(3.0), np.arange(3.0))
    with pytest.raises(DataError, match="row 0 was counted twice"):
        first.merge(second)
    assert first.rows == 3


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_a_handful_of_rows_is_defined(rows: int) -> None:
    for metrics, batch in (
        (ClassificationMetrics("abc", replicates=REPLICATES), label_rows(4, rows, 3)),
        (MultiLabelMetrics("abc", replicates=REPLICATES), label_sets(4, rows, 3)),
        (RegressionMetrics(replicates=REPLICATES), number_rows(4, rows)),
    ):
        metrics.update(*batch)
        result = metrics.compute()
        for name, ends in result["intervals"].items():
            assert np.isfinite(ends).all(), name
            assert ends[0] <= result[name] <= ends[1], name


def test_perfect_and_constant_answers_are_defined() -> None:
    perfect = ClassificationMetrics("ab", replicates=REPLICATES)
    perfect.update(np.array([0, 1] * 20), np.eye(2)[[0, 1] * 20])
    found = perfect.compute()["intervals"]
    assert found["accuracy"] == pytest.approx([stats.binomtest(40, 40).proportion_ci(method="wilson").low, 1.0])
    assert found["macro_f1"] == [1.0, 1.0]
    constant = RegressionMetrics(replicates=REPLICATES)
    constant.update(np.arange(20.0), np.full(20, 0.1))
    assert constant.compute()["intervals"]["pearson"] == [0.0, 0.0]
    assert constant.compute()["intervals"]["spearman"] == [0.0, 0.0]
    exact = RegressionMetrics(replicates=REPLICATES)
    exact.update(np.arange(20.0), np.arange(20.0))
    assert exact.compute()["intervals"]["mean_squared_error"] == [0.0, 0.0]
    assert exact.compute()["intervals"]["r2"] == [1.0, 1.0]


def test_memory_does_not_grow_with_rows_nor_with_pairs_of_labels() -> None:
    metrics = ClassificationMetrics(range(40), replicates=REPLICATES)
    held = metrics.replicates.sums.nbytes
    assert held == 8 * REPLICATES * (3 + 3 * 40 + CALIBRATION_BINS)
    for seed in range(4):
        metrics.update(*label_rows(seed, 100, 40))
    assert metrics.replicates.sums.nbytes == held
    assert metrics.replicates.rows.ranges == [(0, 400)]


def test_intervals_cover_the_truth() -> None:
    """300 sets of 150 rows from a known population. The benchmark `interval_coverage` does this for many populations."""
    sets, rows = 300, 150
    statistics = LabelStatistics(3)
    population = statistics.of_rows(*label_rows(99, 200_000, 3, sureness=1.5))
    truth = statistics.values(population.sum(axis=0))
    missed = dict.fromkeys(truth, 0)
    for seed in range(sets):
        replicates = Replicates(200, statistics.columns)
        replicates.add(statistics.of_rows(*label_rows(seed, rows, 3, sureness=1.5)))
        for name, (low, high) in intervals(statistics, replicates).items():
            missed[name] += not low <= truth[name] <= high
    for name, count in missed.items():
        assert stats.binomtest(count, sets, 0.05).pvalue > 1e-3 or count < 0.05 * sets, (name, count)
        assert name == "expected_calibration_error" or count > 0.01 * sets, (name, count)
