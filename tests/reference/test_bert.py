"""BERT equals `transformers`, forward and backward, with every head."""

from collections.abc import Callable

import pytest

from tests.reference.comparison import CASES, LENGTHS, SMALLEST_GRADIENT, Reference, compare

Make = Callable[[str, str], Reference]


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_the_references(reference: Make, case: str, activation: str) -> None:
    made = reference(case, activation)
    assert compare(made, made.load())


@pytest.mark.parametrize("case", CASES)
def test_the_comparison_means_something(reference: Make, case: str) -> None:
    made = reference(case, "gelu")
    for name, values in made.outputs.items():
        if name.startswith("attention"):
            assert values.max() > 0.9  # attention chooses
        else:
            assert values.square().mean().sqrt() > 0.5, name  # the numbers are of order one
    parts = {name.split(".")[-2] for name in made.gradients}
    assert {"word_embeddings", "position_embeddings", "token_type_embeddings", "query", "key", "value", "LayerNorm"} <= parts
    for name, gradient in made.gradients.items():
        if name.endswith("key.bias"):
            assert gradient.abs().max() < 1e-9  # a constant on all products of a query changes nothing
        else:
            assert gradient.abs().max() > SMALLEST_GRADIENT / 2, name  # no parameter is idle


def test_hidden_states_and_attentions_on_request(reference: Make) -> None:
    made = reference("bare", "gelu")
    names = set(made.outputs)
    layers, sequences = 3, len(LENGTHS)
    assert names == {
        "hidden",
        "pooled",
        *(f"hidden state {i}" for i in range(layers + 1)),
        *(f"attention {i}.{s}" for i in range(layers) for s in range(sequences)),
    }
    differences = compare(made, made.load())
    assert names <= set(differences)
