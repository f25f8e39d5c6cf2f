"""The families of BERT's kind equal `transformers`, forward and backward, with every head."""

from collections.abc import Callable

import pytest

from tests.reference.comparison import SMALLEST_GRADIENT, Reference, compare
from tests.reference.families import FAMILY_CASES

Make = Callable[[str, str], Reference]
SHOWN_TWICE = [case for case in FAMILY_CASES if case.split()[0] in ("roberta", "distilbert", "albert", "electra-generator")]


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_outputs_and_gradients_are_the_references(reference: Make, case: str) -> None:
    made = reference(case, "gelu")
    assert compare(made, made.load())


@pytest.mark.parametrize("case", SHOWN_TWICE)
def test_another_activation_stands_where_the_reference_has_it(reference: Make, case: str) -> None:
    made = reference(case, "silu")
    assert compare(made, made.load())


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_the_comparison_means_something(reference: Make, case: str) -> None:
    made = reference(case, "gelu")
    for name, values in made.outputs.items():
        if name.startswith("attention"):
            assert values.max() > 0.9  # attention chooses
        else:
            assert values.square().mean().sqrt() > 0.5, name  # the numbers are of order one
    for name, gradient in made.gradients.items():
        if name.endswith(("key.bias", "k_lin.bias")):
            assert gradient.abs().max() < 1e-9  # a constant on all products of a query changes nothing
        else:
            assert gradient.abs().max() > SMALLEST_GRADIENT / 2, name  # no parameter is idle
