"""config.json to a description and back, and what is refused, by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.architectures import ARCHITECTURES, architecture_of
from bertworks.architectures.architecture import ACTIVATION_NAMES
from bertworks.architectures.bert import BERT, config, encoder, table
from bertworks.errors import CheckpointError
from bertworks.nn.model import Model

BASE: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 97,
    "hidden_size": 60,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 70,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
}
probabilities = st.floats(0, 0.99)


@given(
    heads=st.integers(1, 5),
    size=st.integers(1, 9),
    counts=st.lists(st.integers(1, 50), min_size=5, max_size=5),
    activation=st.sampled_from(["gelu", "gelu_new", "relu", "silu", "tanh"]),
    dropouts=st.tuples(probabilities, probabilities),
    epsilon=st.floats(1e-12, 0.1),
)
def test_config_and_description_are_inverses(
    heads: int, size: int, counts: list[int], activation: str, dropouts: tuple[float, float], epsilon: float
) -> None:
    sizes = ("vocab_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings", "type_vocab_size")
    given_ = {
        **BASE,
        **dict(zip(sizes, counts, strict=True)),
        "hidden_size": heads * size,
        "num_attention_heads": heads,
        "hidden_act": activation,
        "hidden_dropout_prob": dropouts[0],
        "attention_probs_dropout_prob": dropouts[1],
        "layer_norm_eps": epsilon,
    }
    spec = encoder(given_)
    assert config(spec) == given_
    assert encoder(config(spec)) == spec


def test_the_description_says_what_the_config_does() -> None:
    spec = encoder(BASE)
    assert (spec.hidden, spec.max_tokens, spec.embedding.vocabulary, spec.embedding.segments) == (60, 40, 97, 2)
    assert [layer.weights for layer in spec.layers] == [0, 1, 2]
    layer = spec.layers[1]
    assert (layer.attention.heads, layer.attention.head_dim, layer.attention.dropout) == (4, 15, 0.2)
    assert (layer.norm_position, layer.dropout, layer.feed_forward.activation) == ("after", 0.1, "gelu")
    assert spec.final_norm is None
    assert spec.pooler is not None
    assert spec.pooler.activation == "tanh"


def test_defaults_are_those_of_the_family() -> None:
    needed = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
    spec = encoder({name: BASE[name] for name in needed})
    assert config(spec) == {**BASE, "attention_probs_dropout_prob": 0.1}
    assert encoder({**BASE, "hidden_dropout_prob": None}).layers[0].dropout == 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position_embedding_type": "relative_key"}, "'relative_key'.*relative positions"),
        ({"position_embedding_type": "relative_key_query"}, "relative_key_query"),
        ({"is_decoder": True}, "is_decoder"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"hidden_act": "gleu"}, "unknown activation 'gleu'; known: .*gelu_new"),
        ({"hidden_act": None}, "unknown activation None"),
        ({"hidden_act": ["gelu"]}, "unknown activation"),
        ({"hidden_size": 62}, "hidden_size 62 is not a multiple of num_attention_heads 4"),
        ({"vocab_size": 0}, "'vocab_size' must be a whole number above 0, not 0"),
        ({"vocab_size": "97"}, "'vocab_size'"),
        ({"vocab_size": True}, "'vocab_size'"),
        ({"num_hidden_layers": None}, "'num_hidden_layers'"),
        ({"num_attention_heads": -4}, "'num_attention_heads'"),
        ({"type_vocab_size": 0}, "'type_vocab_size'"),
        ({"hidden_dropout_prob": 1.0}, "'hidden_dropout_prob' must be at least 0 and below 1"),
        ({"attention_probs_dropout_prob": -0.1}, "'attention_probs_dropout_prob'"),
        ({"hidden_dropout_prob": "0.1"}, "'hidden_dropout_prob'"),
        ({"layer_norm_eps": "small"}, "'layer_norm_eps'"),
        ({"layer_norm_eps": None}, "'layer_norm_eps'"),
        ({"initializer_range": "wide"}, "'initializer_range'"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        encoder({**BASE, **changes})


def test_absolute_positions_may_be_named() -> None:
    for value in ("absolute", None):
        assert encoder({**BASE, "position_embedding_type": value}) == encoder(BASE)


@pytest.mark.parametrize("name", ["deberta", "deberta-v2", "mpnet", "t5"])
def test_families_that_cannot_be_described_are_refused_by_name(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"'{name}' is not supported: its? .*relative-position") as caught:
        architecture_of({"model_type": name}, "some/folder")
    assert str(caught.value).startswith("some/folder: ")


def test_unknown_families_get_the_nearest_name() -> None:
    with pytest.raises(CheckpointError, match=r"unknown architecture 'brt'; known: bert.* Did you mean 'bert'"):
        architecture_of({"model_type": "brt"}, "x")
    with pytest.raises(CheckpointError, match="names no 'model_type'"):
        architecture_of({}, "x")
    assert architecture_of(BASE, "x") is ARCHITECTURES["bert"] is BERT


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_activations_have_a_name_to_save(name: str) -> None:
    spec = encoder({**BASE, "hidden_act": name})
    assert encoder(config(spec)) == spec


@pytest.mark.parametrize("kind", BERT.heads)
def test_every_parameter_stands_once_in_the_table(kind: Any) -> None:
    spec = encoder(BASE)
    definition = BERT.heads[kind]
    model = Model(spec, {"head": definition.spec(BASE, spec, 3)})
    whole = table(spec) + definition.table("heads.head.")
    ours = [name for entry in whole.entries for name in entry.ours]
    theirs = [name for entry in whole.entries for name in entry.theirs]
    assert sorted(ours) == sorted(dict(model.named_parameters()))
    assert len(set(theirs)) == len(theirs)
    assert all(BERT.is_body(name) for entry in table(spec).entries for name in entry.theirs)
    assert not any(BERT.is_body(name) for entry in definition.table("heads.head.").entries for name in entry.theirs)


def test_a_head_has_its_own_dropout() -> None:
    spec = encoder(BASE)
    for changes, dropout in (({}, 0.1), ({"classifier_dropout": None}, 0.1), ({"classifier_dropout": 0.4}, 0.4)):
        for kind in ("sequence_classification", "token_classification", "multiple_choice"):
            assert BERT.heads[kind].spec({**BASE, **changes}, spec, 3).dropout == dropout
    assert BERT.heads["next_sentence"].spec(BASE, spec, 2).dropout == 0
    assert BERT.heads["question_answering"].spec(BASE, spec, 2).dropout == 0


def test_what_config_json_calls_several_heads() -> None:
    assert BERT.class_name(["next_sentence", "masked_lm"]) == "BertForPreTraining"
    assert BERT.class_name(["masked_lm"]) == "BertForMaskedLM"
    assert BERT.class_name(["masked_lm", "token_classification"]) == BERT.class_name([]) == "BertModel"
