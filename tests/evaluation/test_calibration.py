"""Temperature scaling: the same optimum as scipy's, the temperature that spoilt the data, and defined at the extremes."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import ClassificationMetrics, apply_temperature, fit_temperature
from bertworks.evaluation.calibration import FEWEST_ROWS, HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

TEMPERATURES = st.sampled_from([0.1, 0.7, 1.0, 3.0, 8.0])


def labelled(seed: int, rows: int, labels: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Targets drawn from calibrated logits, and the probabilities of a model whose logits are `temperature` times as large."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(rows, labels))
    targets = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    return targets, special.softmax(temperature * logits, axis=1)


def tagged(seed: int, rows: int, labels: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(rows, labels))
    return random.random((rows, labels)) < special.expit(logits), special.expit(temperature * logits)


def best_by_scipy(loss) -> float:
    """The temperature in the range with the least loss, over its logarithm."""
    bounds = np.log([LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE])
    return float(np.exp(optimize.minimize_scalar(lambda x: loss(np.exp(x)), bounds=bounds, method="bounded", options={"xatol": 1e-9}).x))


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), rows=st.integers(20, 200), labels=st.integers(2, 8), temperature=TEMPERATURES)
def test_single_labels_equal_scipy(seed: int, rows: int, labels: int, temperature: float) -> None:
    targets, probabilities = labelled(seed, rows, labels, temperature)
    assume((probabilities.argmax(axis=1) != targets).any())
    logits = np.log(np.maximum(probabilities, np.finfo(float).tiny))

    def loss(t: float) -> float:
        return -special.log_softmax(logits / t, axis=1)[np.arange(rows), targets].sum()

    found, best = fit_temperature(targets, probabilities, "single"), best_by_scipy(loss)
    assert loss(found) <= loss(best) + 1e-7
    assert found == pytest.approx(best, rel=1e-3)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), rows=st.integers(20, 100), labels=st.integers(1, 5), temperature=TEMPERATURES)
def test_several_labels_equal_scipy(seed: int, rows: int, labels: int, temperature: float) -> None:
    targets, probabilities = tagged(seed, rows, labels, temperature)
    assume(((probabilities > 0.5) != targets).any())
    logits = special.logit(np.clip(probabilities, np.finfo(float).eps / 2, 1 - np.finfo(float).eps / 2))

    def loss(t: float) -> float:
        return -special.log_expit(np.where(targets, logits, -logits) / t).sum()

    found, best = fit_temperature(targets, probabilities, "multi"), best_by_scipy(loss)
    assert loss(found) <= loss(best) + 1e-7
    assert found == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_spoilt_the_data_is_found(temperature: float) -> None:
    assert fit_temperature(*labelled(0, 20_000, 4, temperature), "single") == pytest.approx(temperature, rel=0.03)
    assert fit_temperature(*tagged(0, 8_000, 4, temperature), "multi") == pytest.approx(temperature, rel=0.03)


def test_applying_it_mends_the_calibration() -> None:
    found = {}
    temperature = fit_temperature(*labelled(1, 4000, 4, 3.0), "single")
    targets, probabilities = labelled(2, 4000, 4, 3.0)
    for name, values in (("before", probabilities), ("after", apply_temperature(probabilities, temperature, "single"))):
        metrics = ClassificationMetrics(range(4))
        metrics.update(targets, values)
        found[name] = metrics.compute()
    assert found["after"]["expected_calibration_error"] < found["before"]["expected_calibration_error"] / 4
    assert found["after"]["log_loss"] < found["before"]["log_loss"]
    assert found["after"]["confusion"] == found["before"]["confusion"]


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.05, 20), kind=st.sampled_from(["single", "multi"]))
def test_applying_is_dividing_the_logits(seed: int, temperature: float, kind: str) -> None:
    logits = 3 * np.random.default_rng(seed).normal(size=(7, 4))
    to_probabilities = (lambda z: special.softmax(z, axis=1)) if kind == "single" else special.expit
    found = apply_temperature(to_probabilities(logits), temperature, kind)
    assert found == pytest.approx(to_probabilities(logits / temperature), abs=1e-9)
    if temperature > 0.5:  # nothing is rounded to 0 or 1
        assert apply_temperature(found, 1 / temperature, kind) == pytest.approx(to_probabilities(logits), abs=1e-6)


def test_single_precision_and_saturated_probabilities() -> None:
    """What a softmax in single precision gives: exact zeros and ones, right and wrong."""
    targets, probabilities = labelled(3, 400, 3, 60.0)
    narrow = probabilities.astype(np.float32)
    assert (narrow == 1).any()
    assert (narrow == 0).any()
    found = fit_temperature(targets, narrow, "single")
    assert 5 < found <= HIGHEST_TEMPERATURE
    calm = apply_temperature(narrow, found, "single")
    assert np.isfinite(calm).all()
    assert calm.sum(axis=1) == pytest.approx(np.ones(400))
    sets, marks = tagged(3, 400, 3, 60.0)
    assert 1 < fit_temperature(sets, marks.astype(np.float32), "multi") <= HIGHEST_TEMPERATURE
    assert np.isfinite(apply_temperature(marks.astype(np.float32), 0.05, "multi")).all()


def test_where_rows_cannot_tell_it_is_1() -> None:
    targets, probabilities = labelled(4, FEWEST_ROWS, 3, 2.0)
    assert fit_temperature(targets, probabilities, "single") != 1.0
    assert fit_temperature(targets[:-1], probabilities[:-1], "single") == 1.0
    assert fit_temperature(targets[:1], probabilities[:1], "single") == 1.0
    assert fit_temperature(targets[:0], probabilities[:0], "single") == 1.0
    assert fit_temperature(probabilities.argmax(axis=1), probabilities, "single") == 1.0  # all right
    assert fit_temperature(probabilities > 0.5, probabilities, "multi") == 1.0
    assert fit_temperature(np.zeros(40, dtype=int), np.full((40, 2), 0.5), "single") == 1.0
    assert fit_temperature(np.zeros(40, dtype=int), np.ones((40, 1)), "single") == 1.0


def test_the_range_is_bounded() -> None:
    """Worse than chance: no confidence is low enough. One hardly wrong row among many: hardly any is too high."""
    probabilities = np.tile([0.9, 0.1], (40, 1))
    assert fit_temperature(np.ones(40, dtype=int), probabilities, "single") == pytest.approx(HIGHEST_TEMPERATURE)
    assert fit_temperature(np.tile([False, True], (40, 1)), probabilities, "multi") == pytest.approx(HIGHEST_TEMPERATURE)
    nearly = np.tile([0.6, 0.4], (4000, 1))
    nearly[0] = [0.4999999, 0.5000001]
    assert fit_temperature(np.zeros(4000, dtype=int), nearly, "single") == pytest.approx(LOWEST_TEMPERATURE)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(SettingsError, match="predicts a number"):
        fit_temperature(np.zeros(30), np.zeros((30, 1)), "number")
    with pytest.raises(SettingsError, match="kind is"):
        apply_temperature(np.full((1, 2), 0.5), 1.0, "singles")
    for temperature in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(SettingsError, match="above 0"):
            apply_temperature(np.full((1, 2), 0.5), temperature, "single")
    with pytest.raises(DataError, match="softmax"):
        apply_temperature(np.array([[3.0, -1.0]]), 1.0, "single")
    with pytest.raises(DataError, match="probabilities must be"):
        fit_temperature(np.zeros(30, dtype=int), np.full(30, 0.5), "single")
    with pytest.raises(DataError, match="booleans"):
        fit_temperature(np.zeros((30, 2)), np.full((30, 2), 0.5), "multi")
    with pytest.raises(DataError, match="rows of probabilities"):
        fit_temperature(np.zeros(29, dtype=int), np.full((30, 2), 0.5), "single")
