"""What is drawn, and how often: against a slow and obvious way, against `transformers`, and against the exact distribution."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bertworks.data.counter import uniform
from bertworks.errors import SettingsError
from bertworks.inference import sampling
from bertworks.inference.sampling import GenerationSettings, choose_tokens, distribution

score_rows = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=12)
temperatures = st.sampled_from([0.3, 0.7, 1.0, 1.8])


def slow_distribution(scores: list[float], temperature: float, top_k: int | None, top_p: float | None) -> list[float]:
    """One token after the other, the most probable first; of equal ones the first."""
    weights = [float(np.exp(np.float64(s - max(scores)) / temperature)) for s in scores]
    if top_k is not None:
        least = sorted(scores)[-min(top_k, len(scores))]
        weights = [w if s >= least else 0.0 for w, s in zip(weights, scores, strict=True)]
    probabilities = [w / sum(weights) for w in weights]
    if top_p is not None:
        kept, mass = set(), 0.0
        for token in sorted(range(len(scores)), key=lambda i: (-probabilities[i], i)):
            if mass >= top_p:
                break
            kept.add(token)
            mass += probabilities[token]
        probabilities = [p / mass if i in kept else 0.0 for i, p in enumerate(probabilities)]
    return probabilities


@settings(max_examples=200, deadline=None)
@given(scores=score_rows, temperature=temperatures, top_k=st.none() | st.integers(1, 14), top_p=st.none() | st.floats(0.01, 0.99))
def test_the_distribution_is_the_slow_one(scores: list[float], temperature: float, top_k: int | None, top_p: float | None) -> None:
    found = distribution(torch.tensor([scores]), GenerationSettings(temperature=temperature, top_k=top_k, top_p=top_p))[0].tolist()
    wanted = slow_distribution(scores, temperature, top_k, top_p)
    mass = np.sort(wanted)[::-1].cumsum()
    if top_p is None or np.abs(mass - top_p).min() > 1e-9:  # else rounding decides whether the threshold is reached
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert sum(found) == pytest.approx(1)


@pytest.mark.parametrize("top_k", [None, 1, 7, 40])
@pytest.mark.parametrize("top_p", [None, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_distribution_is_the_one_of_transformers(temperature: float, top_k: int | None, top_p: float | None) -> None:
    transformers = pytest.importorskip("transformers")
    scores = torch.randn(5, 61, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    warped = transformers.TemperatureLogitsWarper(temperature)(None, scores)
    warped = warped if top_k is None else transformers.TopKLogitsWarper(top_k)(None, warped)
    warped = warped if top_p is None else transformers.TopPLogitsWarper(top_p)(None, warped)
    found = distribution(scores, GenerationSettings(temperature=temperature, top_k=top_k, top_p=top_p))
    torch.testing.assert_close(found, warped.softmax(1), atol=1e-12, rtol=0)


def test_the_token_that_reaches_the_threshold_is_kept() -> None:
    scores = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64))
    for top_p, kept in ((0.4, 1), (0.6, 2), (0.79, 2), (0.81, 3), (0.96, 4)):
        assert int((distribution(scores, GenerationSettings(top_p=top_p)) > 0).sum()) == kept


def test_equal_scores_at_the_edge_of_top_k_all_stay() -> None:
    found = distribution(torch.tensor([[1.0, 2.0, 1.0, 0.0]]), GenerationSettings(top_k=2, top_p=None))
    assert (found > 0).tolist() == [[True, True, True, False]]


@pytest.mark.parametrize(
    "chosen",
    [{"top_p": None}, {"temperature": 0.6, "top_p": None}, {"top_k": 5, "top_p": None}, {"top_p": 0.8}, {"top_k": 6}],
)
def test_frequencies_are_those_of_the_distribution(chosen: dict[str, Any]) -> None:
    """A chi-square test with a fixed seed, by the numbers that generation draws."""
    draws, chosen_settings = 20_000, GenerationSettings(seed=3, **chosen)
    scores = torch.randn(1, 13, generator=torch.Generator().manual_seed(2)) * 1.5
    numbers = torch.from_numpy(uniform(chosen_settings.seed, np.arange(draws).astype(np.uint64), 0))
    tokens = choose_tokens(scores.expand(draws, -1), chosen_settings, numbers)
    wanted = distribution(scores, chosen_settings)[0].numpy()
    counts = np.bincount(tokens.numpy(), minlength=13)
    assert counts[wanted == 0].sum() == 0
    assert stats.chisquare(counts[wanted > 0], wanted[wanted > 0] * draws).pvalue > 0.01
    other = np.roll(wanted[wanted > 0], 1)
    assert stats.chisquare(counts[wanted > 0], other * draws).pvalue < 1e-6  # the test can tell


def test_the_edges_of_the_numbers_are_tokens_that_may_be_drawn() -> None:
    scores = torch.tensor([[-40.0, 3.0, -40.0, 2.0, -40.0]])
    chosen = GenerationSettings(top_k=2, top_p=None)
    edge = float(np.nextafter(1, 0))
    tokens = choose_tokens(scores.expand(3, -1), chosen, torch.tensor([0.0, 0.5, edge], dtype=torch.float64))
    assert tokens.tolist() == [1, 1, 3]


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.lists(st.floats(-5, 5, width=32), min_size=9, max_size=9), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_a_row_does_not_depend_on_the_others(rows: list[list[float]], seed: int) -> None:
    chosen, numbers = GenerationSettings(top_k=5, top_p=0.9), torch.from_numpy(uniform(seed, np.arange(len(rows))))
    together = choose_tokens(torch.tensor(rows), chosen, numbers).tolist()
    assert together == [int(choose_tokens(torch.tensor([row]), chosen, numbers[i : i + 1])) for i, row in enumerate(rows)]


def test_temperature_zero_is_the_most_probable() -> None:
    scores = torch.tensor([[0.0, 3.0, 3.0], [9.0, 1.0, 2.0]])
    for temperature in (0, 1e-30, 1e-310):
        found = choose_tokens(
            scores, GenerationSettings(temperature=temperature, top_k=1 if temperature else None), torch.zeros(2).double()
        )
        assert found.tolist() == [1, 0]
    assert distribution(scores, GenerationSettings(temperature=0)).tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_scores_that_are_no_numbers_are_refused(bad: float, temperature: float) -> None:
    with pytest.raises(SettingsError, match="not finite"):
        choose_tokens(torch.tensor([[0.0, bad]]), GenerationSettings(temperature=temperature), torch.zeros(1).double())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is a whole number, 1 or more, not 0"),
        ({"max_new_tokens": 2.5}, "max_new_tokens"),
        ({"max_new_tokens": True}, "max_new_tokens"),
        ({"temperature": -0.1}, "temperature is a number, 0 or more, not -0.1"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_k": 0}, "top_k is a whole number, 1 or more, not 0"),
        ({"top_p": 0.0}, "top_p lies above 0 and at most at 1, not 0.0"),
        ({"top_p": 1.1}, "top_p"),
        ({"seed": -1}, "seed is a whole number, from 0 to 2\\^63, not -1"),
        ({"stop": ("",)}, "stop strings are texts, not empty"),
        ({"stop": (3,)}, "stop strings"),
        ({"top_k": -1, "top_p": 2}, "top_k .*; top_p "),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        GenerationSettings(**wrong)


@pytest.mark.parametrize("mass", [0.05, 0.5, 0.9, 0.999])
def test_few_likely_tokens_are_looked_at_first(monkeypatch: pytest.MonkeyPatch, mass: float) -> None:
    """Whether they suffice or not, and where scores are equal, the same tokens are kept."""
    scores = torch.randint(-3, 4, (9, 50), generator=torch.Generator().manual_seed(1)).float()
    scores[4:] *= 3
    chosen = GenerationSettings(top_p=mass)
    found = []
    for likely in (1, 2, 7, 1000):
        monkeypatch.setattr(sampling, "_LIKELY", likely)
        found.append(distribution(scores, chosen))
    assert all(torch.equal(found[0], other) for other in found)
    for row, own in zip(scores.tolist(), found[0].tolist(), strict=True):
        np.testing.assert_allclose(own, slow_distribution(row, 1.0, None, mass), atol=1e-12)
