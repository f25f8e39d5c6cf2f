"""Two models on the same rows: scipy's tests where it has them, brute force, uniform p-values without a difference, power."""

import json
from itertools import pairwise, product

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import ClassificationMetrics, MultiLabelMetrics, RegressionMetrics, compare
from bertworks.evaluation.bootstrap import coin_flips, poisson_weights
from bertworks.evaluation.comparison import mcnemar_p_value

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

LABELS = ["a", "b", "c"]


def two_models(seed: int, rows: int, gain: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and the probabilities of two models that make many of the same errors; the second has `gain` more evidence."""
    random = np.random.default_rng(seed)
    targets, common = random.integers(0, 3, rows), random.normal(size=(rows, 3))
    outputs = []
    for margin in (1.5, 1.5 + gain):
        logits = common + random.normal(size=(rows, 3))
        logits[np.arange(rows), targets] += margin
        outputs.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    return targets, *outputs


def two_regressions(seed: int, rows: int, noise: tuple[float, float] = (1.0, 1.0)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.normal(size=rows).round(1)
    first, second = ((targets + scale * random.normal(size=rows)).round(2) for scale in noise)
    return targets, first, second


def two_taggers(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.random((rows, 3)) < 0.4
    first, second = (np.clip(0.3 * targets + 0.7 * random.random((rows, 3)), 0, 1) for _ in range(2))
    return targets, first, second


MAKERS = {"single": two_models, "multi": two_taggers, "number": two_regressions}


def chunked(arrays: tuple[np.ndarray, ...], *edges: int) -> list[tuple[np.ndarray, ...]]:
    bounds = [0, *edges, len(arrays[0])]
    return [tuple(of[start:stop] for of in arrays) for start, stop in pairwise(bounds)]


def test_both_values_are_those_of_the_metrics() -> None:
    empty = {"single": lambda: ClassificationMetrics(LABELS), "multi": lambda: MultiLabelMetrics(LABELS), "number": RegressionMetrics}
    for kind, make in MAKERS.items():
        data = make(0, 80)
        found = compare(kind, [data], labels=LABELS, replicates=100)
        for side, outputs in (("first", data[1]), ("second", data[2])):
            metrics = empty[kind]()
            metrics.update(data[0], outputs)
            expected = {name: value for name, value in metrics.compute().items() if isinstance(value, float)}
            assert {name: getattr(of, side) for name, of in found.metrics.items()} == pytest.approx(expected, rel=1e-9)
        assert found.rows == 80
        assert all(of.difference == of.second - of.first for of in found.metrics.values())
        assert (found.mcnemar is not None) == (kind == "single")


def test_ranks_far_from_zero_are_compared() -> None:
    targets, first, second = two_regressions(3, 60, (0.3, 2.0))
    near, far = (compare("number", [tuple(of + shift for of in (targets, first, second))]) for shift in (0.0, 2.0**31))
    one, other = (found.metrics["spearman"] for found in (near, far))
    assert other.first == pytest.approx(one.first, abs=1e-3)
    assert (other.p_value, *other.interval) == pytest.approx((one.p_value, *one.interval), abs=1e-2)


def test_thresholds_are_each_models_own() -> None:
    targets, first, second = two_taggers(1, 60)
    limits = np.array([0.3, 0.4, 0.6])
    found = compare("multi", [(targets, first, second)], labels=LABELS, thresholds=(0.5, limits), replicates=100)
    assert found.metrics["micro_f1"].first == pytest.approx(reference.f1_score(targets, first >= 0.5, average="micro"))
    assert found.metrics["micro_f1"].second == pytest.approx(reference.f1_score(targets, second >= limits, average="micro"))


def test_chunks_change_nothing() -> None:
    for kind, make in MAKERS.items():
        data = make(1, 70)
        whole = compare(kind, [data], labels=LABELS, replicates=100)
        parts = compare(kind, iter(chunked(data, 1, 1, 40)), labels=LABELS, replicates=100)
        assert whole.mcnemar == parts.mcnemar
        for name, of in whole.metrics.items():
            assert parts.metrics[name].interval == pytest.approx(of.interval, rel=1e-9, abs=1e-12)
            assert parts.metrics[name].p_value == of.p_value


def test_equal_models_do_not_differ() -> None:
    for kind, make in MAKERS.items():
        data = make(2, 50)
        found = compare(kind, [(data[0], data[1], data[1])], labels=LABELS, replicates=100)
        for of in found.metrics.values():
            assert (of.difference, of.interval, of.p_value) == (0.0, (0.0, 0.0), 1.0)
        assert found.mcnemar is None or found.mcnemar.p_value == 1.0


def test_turned_round_only_the_signs_change() -> None:
    targets, first, second = two_models(3, 90, gain=0.2)
    there, back = (compare("single", [(targets, *both)], labels=LABELS, replicates=200) for both in ((first, second), (second, first)))
    for name, of in there.metrics.items():
        other = back.metrics[name]
        assert (other.difference, other.p_value) == (-of.difference, of.p_value)
        assert other.interval == pytest.approx((-of.interval[1], -of.interval[0]))


# ---- approximate randomization


def test_swaps_are_those_of_the_coins() -> None:
    """Every metric after really swapping the outputs of the rows whose coin says so."""
    replicates = 100
    coins = coin_flips(0, np.arange(40), range(replicates)).astype(bool)

    def p_value(statistic, targets, first, second) -> float:
        differences = []
        for swap in coins.T:
            turned = swap.reshape(-1, *[1] * (first.ndim - 1))
            differences.append(statistic(targets, np.where(turned, first, second)) - statistic(targets, np.where(turned, second, first)))
        observed = statistic(targets, second) - statistic(targets, first)
        return (1 + int((np.abs(differences) >= abs(observed) - 1e-12).sum())) / (1 + replicates)

    data = two_regressions(4, 40, noise=(1.0, 0.8))
    found = compare("number", [data], replicates=replicates).metrics
    assert found["spearman"].p_value == p_value(lambda t, o: stats.spearmanr(t, o).statistic, *data)
    assert found["pearson"].p_value == p_value(lambda t, o: stats.pearsonr(t, o).statistic, *data)
    assert found["mean_absolute_error"].p_value == p_value(reference.mean_absolute_error, *data)

    data = two_models(4, 40, gain=0.5)
    found = compare("single", [data], labels=LABELS, replicates=replicates).metrics
    assert found["accuracy"].p_value == p_value(lambda t, o: (o.argmax(axis=1) == t).mean(), *data)
    assert found["log_loss"].p_value == p_value(lambda t, o: -np.log(o[np.arange(40), t]).mean(), *data)
    f1 = p_value(lambda t, o: reference.f1_score(t, o.argmax(axis=1), average="macro", zero_division=0), *data)
    assert found["macro_f1"].p_value == f1
    assert 0.01 < f1 < 0.99


def test_the_p_value_is_near_that_of_all_swaps() -> None:
    targets, first, second = two_models(5, 10, gain=1.0)
    losses = [reference.log_loss([t], [p], labels=[0, 1, 2]) for of in (first, second) for t, p in zip(targets, of, strict=True)]
    differences = np.array(losses[10:]) - np.array(losses[:10])
    all_swaps = np.array(list(product((1, -1), repeat=10))) @ differences
    exact = (np.abs(all_swaps) >= abs(differences.sum()) - 1e-12).mean()
    found = compare("single", [(targets, first, second)], labels=LABELS, replicates=20_000)
    assert found.metrics["log_loss"].p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


@pytest.mark.parametrize("kind", ["single", "number"])
def test_without_a_difference_p_values_are_uniform(kind: str) -> None:
    make = two_models if kind == "single" else two_regressions
    found = [compare(kind, [make(seed, 80)], labels=LABELS, replicates=199, seed=seed).metrics for seed in range(150)]
    for name in ("log_loss", "expected_calibration_error") if kind == "single" else ("spearman", "pearson", "mean_squared_error"):
        assert stats.kstest([of[name].p_value for of in found], "uniform").pvalue > 1e-3, name
    for name in found[0]:  # metrics of few levels have p-values of few levels: never too small a one too often
        small = sum(of[name].p_value <= 0.05 for of in found)
        assert stats.binomtest(small, 150, 0.05, alternative="greater").pvalue > 1e-3, name


def test_without_a_difference_intervals_hold_zero() -> None:
    held = {}
    for seed in range(200):
        for name, of in compare("single", [two_models(seed, 120)], labels=LABELS, replicates=200).metrics.items():
            held[name] = held.get(name, 0) + (of.interval[0] <= 0 <= of.interval[1])
    for name, count in held.items():
        assert stats.binomtest(count, 200, 0.95).pvalue > 1e-3, (name, count)


def test_a_real_difference_is_found() -> None:
    found = compare("single", [two_models(6, 2000, gain=0.4)], labels=LABELS)
    for name in ("accuracy", "macro_f1", "matthews_correlation", "log_loss"):
        assert found.metrics[name].p_value == pytest.approx(1 / 1001)
        low, high = found.metrics[name].interval
        assert low * high > 0, name
    assert found.metrics["accuracy"].difference > 0 > found.metrics["log_loss"].difference
    assert found.mcnemar.p_value < 1e-4
    numbers = compare("number", [two_regressions(6, 1000, noise=(1.0, 0.7))]).metrics
    assert numbers["spearman"].p_value == pytest.approx(1 / 1001)
    assert numbers["spearman"].interval[0] > 0 > numbers["mean_squared_error"].interval[1]


def test_the_interval_is_paired() -> None:
    """Students' t times the spread of differences of replicates that drew the same rows for both models."""
    targets, first, second = two_regressions(7, 60)
    found = compare("number", [(targets, first, second)], replicates=300).metrics["spearman"]
    differences = []
    for weight in poisson_weights(0, np.arange(60), range(300)).T:
        drawn, one, other = (np.repeat(of, weight) for of in (targets, first, second))
        differences.append(stats.spearmanr(drawn, other).statistic - stats.spearmanr(drawn, one).statistic)
    reach = stats.t(59).ppf(0.975) * np.sqrt(60 / 59) * np.std(differences)
    assert found.interval == pytest.approx((found.difference - reach, found.difference + reach), rel=1e-3)


# ---- McNemar


@pytest.mark.parametrize("only_first", [0, 1, 2, 7, 30, 31, 400, 9000])
@pytest.mark.parametrize("only_second", [0, 1, 8, 31, 350, 9100])
def test_mcnemar_is_the_binomial_test(only_first: int, only_second: int) -> None:
    rows = only_first + only_second
    expected = stats.binomtest(only_first, rows, 0.5).pvalue if rows else 1.0
    assert mcnemar_p_value(only_first, only_second) == pytest.approx(expected, rel=1e-8, abs=1e-300)


def test_mcnemar_counts_the_rows() -> None:
    targets, first, second = two_models(8, 200, gain=0.3)
    found = compare("single", chunked((targets, first, second), 77), labels=LABELS, replicates=100).mcnemar
    right, also = first.argmax(axis=1) == targets, second.argmax(axis=1) == targets
    assert (found.only_first, found.only_second) == (int((right & ~also).sum()), int((also & ~right).sum()))
    assert found.p_value == pytest.approx(stats.binomtest(found.only_first, found.only_first + found.only_second).pvalue)


# ---- outward form


def test_the_result_is_json() -> None:
    found = compare("single", [two_models(0, 30)], labels=LABELS, replicates=100).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert set(found["metrics"]["accuracy"]) == {"first", "second", "difference", "interval", "p_value"}


def test_wrong_input_is_refused() -> None:
    targets, first, second = two_models(0, 10)
    with pytest.raises(SettingsError, match="Did you mean 'single'"):
        compare("singel", [], labels=LABELS)
    with pytest.raises(SettingsError, match="at least 100"):
        compare("single", [], labels=LABELS, replicates=10)
    with pytest.raises(DataError, match="at least one"):
        compare("single", [(targets, first, second)])
    for kind in ("single", "multi", "number"):
        with pytest.raises(DataError, match="no rows"):
            compare(kind, [], labels=LABELS)
    with pytest.raises(DataError, match="9 rows"):
        compare("single", [(targets, first, second[:9])], labels=LABELS)
    with pytest.raises(DataError, match="softmax"):
        compare("single", [(targets, first, 4 * second)], labels=LABELS)
    with pytest.raises(DataError, match="equally many"):
        compare("number", [(np.arange(3.0), np.arange(3.0), np.arange(4.0))])
