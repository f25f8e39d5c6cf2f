"""GPT-2's config.json to a description and back, and what is refused, by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.architectures import ARCHITECTURES, architecture_of
from bertworks.architectures.gpt2 import GPT2, config, encoder, table
from bertworks.errors import CheckpointError
from bertworks.nn.model import Model

BASE: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 97,
    "n_positions": 40,
    "n_embd": 60,
    "n_layer": 3,
    "n_head": 4,
    "n_inner": 70,
    "activation_function": "gelu_new",
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.15,
    "attn_pdrop": 0.2,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
}
probabilities = st.floats(0, 0.99)


@given(
    heads=st.integers(1, 5),
    size=st.integers(2, 9),
    counts=st.tuples(st.integers(1, 50), st.integers(2, 9), st.integers(1, 50), st.integers(1, 50)),
    activation=st.sampled_from(["gelu", "gelu_new", "relu", "silu", "tanh"]),
    dropouts=st.tuples(probabilities, probabilities, probabilities),
    epsilon=st.floats(1e-12, 0.1),
    switches=st.tuples(st.booleans(), st.booleans()),
)
def test_config_and_description_are_inverses(
    heads: int,
    size: int,
    counts: tuple[int, ...],
    activation: str,
    dropouts: tuple[float, ...],
    epsilon: float,
    switches: tuple[bool, bool],
) -> None:
    given_ = {
        **BASE,
        **dict(zip(("vocab_size", "n_layer", "n_inner", "n_positions"), counts, strict=True)),
        **dict(zip(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropouts, strict=True)),
        **dict(zip(("scale_attn_weights", "scale_attn_by_inverse_layer_idx"), switches, strict=True)),
        "n_embd": heads * size,
        "n_head": heads,
        "activation_function": activation,
        "layer_norm_epsilon": epsilon,
    }
    spec = encoder(given_)
    assert config(spec) == given_
    assert encoder(config(spec)) == spec


def test_the_description_says_what_the_config_does() -> None:
    spec = encoder({**BASE, "scale_attn_by_inverse_layer_idx": True})
    assert (spec.hidden, spec.max_tokens, spec.embedding.vocabulary, spec.embedding.segments) == (60, 40, 97, 0)
    assert spec.embedding.norm is None
    assert (spec.embedding.dropout, spec.layers[0].dropout, spec.layers[0].attention.dropout) == (0.15, 0.1, 0.2)
    assert [layer.weights for layer in spec.layers] == [0, 1, 2]
    assert all(layer.attention.causal and layer.norm_position == "before" for layer in spec.layers)
    assert [layer.attention.scale for layer in spec.layers] == [15**-0.5 / (i + 1) for i in range(3)]
    assert spec.final_norm is not None
    assert spec.pooler is None


def test_defaults_are_those_of_the_family() -> None:
    transformers = pytest.importorskip("transformers")
    needed = {name: BASE[name] for name in ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions")}
    theirs = transformers.GPT2Config(**needed).to_dict()
    found = config(encoder(needed))
    assert found.pop("n_inner") == 4 * 60
    assert found == {name: theirs[name] for name in found}
    assert encoder({**needed, "n_inner": None}) == encoder(theirs) == encoder(needed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"n_embd": 62}, "n_embd 62 is not a multiple of n_head 4"),
        ({"activation_function": "gelu_nwe"}, "unknown activation 'gelu_nwe'.*Did you mean 'gelu_new'"),
        ({"n_layer": 0}, "'n_layer' must be a whole number above 0"),
        ({"n_inner": 0}, "'n_inner'"),
        ({"n_positions": None}, "'n_positions'"),
        ({"resid_pdrop": 1}, "'resid_pdrop' must be at least 0 and below 1"),
        ({"layer_norm_epsilon": 0}, "'layer_norm_epsilon'"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        encoder({**BASE, **changes})


def test_an_output_matrix_of_its_own_is_refused() -> None:
    spec = encoder(BASE)
    head = GPT2.heads["causal_lm"].spec
    assert head(BASE, spec, 0) == head({**BASE, "tie_word_embeddings": True}, spec, 0)
    with pytest.raises(CheckpointError, match="tie_word_embeddings"):
        head({**BASE, "tie_word_embeddings": False}, spec, 0)


@pytest.mark.parametrize("kind", ["causal_lm", "sequence_classification", "token_classification", "question_answering"])
def test_every_parameter_stands_once_in_the_table(kind: Any) -> None:
    spec, definition = encoder(BASE), GPT2.heads[kind]
    model = Model(spec, {"head": definition.spec(BASE, spec, 3)})
    whole = table(spec) + definition.table("heads.head.")
    ours = [name for entry in whole.entries for name in entry.ours]
    theirs = [name for entry in whole.entries for name in entry.theirs]
    assert sorted(ours) == sorted(dict(model.named_parameters()))
    assert len(set(theirs)) == len(theirs)
    assert all(GPT2.is_body(name) for entry in table(spec).entries for name in entry.theirs)
    assert not any(GPT2.is_body(name) for entry in definition.table("heads.head.").entries for name in entry.theirs)


def test_dropout_of_the_heads() -> None:
    spec = encoder(BASE)
    for changes, dropout in (({}, 0.1), ({"hidden_dropout": 0.3}, 0.3), ({"hidden_dropout": 0.3, "classifier_dropout": 0.4}, 0.4)):
        assert GPT2.heads["token_classification"].spec({**BASE, **changes}, spec, 3).dropout == dropout
    assert GPT2.heads["sequence_classification"].spec(BASE, spec, 3).dropout == 0


def test_its_names() -> None:
    assert architecture_of(BASE, "x") is ARCHITECTURES["gpt2"] is GPT2
    assert GPT2.class_name(["causal_lm"]) == "GPT2LMHeadModel"
    assert GPT2.class_name([]) == "GPT2Model"
    with pytest.raises(CheckpointError, match=r"'gpt2' has no head for masked_lm; it has heads for: .*causal_lm"):
        GPT2.head("masked_lm")
