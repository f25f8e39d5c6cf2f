"""Courses of the learning rate."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.training.config import ScheduleName
from bertworks.training.schedules import rate_factor

NAMES: list[ScheduleName] = ["linear", "cosine", "warmup_stable_decay", "constant"]


@given(st.integers(1, 500), st.sampled_from(NAMES), st.floats(0, 0.99), st.floats(0, 0.99))
def test_factors_rise_and_fall_within_bounds(total: int, name: ScheduleName, warmup: float, decay: float) -> None:
    factors = [rate_factor(step, total, name, warmup, decay) for step in range(total)]
    rising = min(math.ceil(total * warmup), total - 1)
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[:rising] == sorted(factors[:rising])
    assert factors[rising:] == sorted(factors[rising:], reverse=True)
    assert all(factor > 0 for factor in factors[1:]), "only the first step of a warm-up may be lost"
    assert factors[-1] > 0, "the last step learns, also where it is the only one"


@pytest.mark.parametrize("name", NAMES)
def test_without_warmup_the_first_step_has_the_full_rate(name: ScheduleName) -> None:
    assert rate_factor(0, 10, name, 0.0, 0.2) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_the_only_step_of_a_training_has_the_full_rate(name: ScheduleName) -> None:
    assert rate_factor(0, 1, name, 0.1, 0.2) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_the_warmup_is_linear_to_the_peak(name: ScheduleName) -> None:
    assert [rate_factor(step, 20, name, 0.25, 0.2) for step in range(6)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_the_courses_after_the_warmup() -> None:
    assert rate_factor(60, 100, "linear", 0.2, 0.2) == pytest.approx(0.5)
    assert rate_factor(60, 100, "cosine", 0.2, 0.2) == pytest.approx(0.5)
    assert rate_factor(40, 100, "cosine", 0.2, 0.2) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert rate_factor(80, 100, "warmup_stable_decay", 0.2, 0.2) == 1.0
    assert rate_factor(90, 100, "warmup_stable_decay", 0.2, 0.2) == pytest.approx(0.5)
    assert rate_factor(99, 100, "constant", 0.2, 0.2) == 1.0
    assert rate_factor(99, 100, "linear", 0.2, 0.2) == pytest.approx(1 / 80)
