"""The other families equal `transformers`, forward and backward, with every head."""

from collections.abc import Callable

import pytest

from bertworks.errors import CheckpointError
from bertworks.inference import load_model
from tests.reference.comparison import Reference, compare, silent
from tests.reference.families import FAMILY_CASES

Make = Callable[[str, str], Reference]
SHOWN_TWICE = [case for case in FAMILY_CASES if case.split()[0] in ("roberta", "distilbert", "albert", "electra-generator")]


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_outputs_and_gradients_are_the_references(reference: Make, case: str) -> None:
    made = reference(case, "gelu")
    assert compare(made, made.load())


@pytest.mark.parametrize("case", SHOWN_TWICE)
def test_another_activation_stands_where_the_reference_has_it(reference: Make, case: str) -> None:
    made = reference(case, "gelu_new")
    assert compare(made, made.load())


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_the_comparison_means_something(reference: Make, case: str) -> None:
    made = reference(case, "gelu")
    assert not silent(made.outputs, made.gradients)
    assert made.gradients


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("roberta bare", "next_sentence"),
        ("distilbert bare", "next_sentence"),
        ("electra-generator bare", "next_sentence"),
        ("albert bare", "replaced_token_detection"),
    ],
)
def test_a_head_that_a_family_lacks(reference: Make, case: str, kind: str) -> None:
    with pytest.raises(CheckpointError, match=f"has no head for {kind}; it has heads for: masked_lm, .*multiple_choice"):
        load_model(reference(case, "gelu").folder, {"head": (kind, 2)}, new_heads=True)  # type: ignore[dict-item]
