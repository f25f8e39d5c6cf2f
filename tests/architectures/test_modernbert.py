"""ModernBERT's config.json, of both generations of `transformers`, to a description and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.architectures import ARCHITECTURES
from bertworks.architectures.modernbert import GLOBAL, LOCAL, MODERNBERT, config, encoder, table
from bertworks.errors import CheckpointError
from bertworks.nn.model import Model

BASE: dict[str, Any] = {
    # the base model of the paper (Warner et al. 2024, table 4), as transformers 4 writes it
    "model_type": "modernbert",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "classifier_dropout": 0.0,
    "classifier_pooling": "mean",
    "decoder_bias": True,
    "embedding_dropout": 0.0,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 1152,
    "local_attention": 128,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "mlp_dropout": 0.0,
    "norm_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": 12,
    "num_hidden_layers": 22,
    "vocab_size": 50368,
}
TINY = {**BASE, "vocab_size": 31, "hidden_size": 12, "intermediate_size": 10, "num_attention_heads": 3, "num_hidden_layers": 4}
KINDS = [GLOBAL, LOCAL, LOCAL, GLOBAL]


def test_the_description_says_what_the_config_does() -> None:
    spec = encoder(BASE)
    assert spec.max_tokens == 8192
    assert (spec.embedding.positions, spec.embedding.segments, spec.pooler) == ("none", 0, None)
    assert [i for i, layer in enumerate(spec.layers) if layer.attention.window is None] == [0, 3, 6, 9, 12, 15, 18, 21]
    assert {(layer.attention.window, layer.attention.rotary_base) for layer in spec.layers} == {(None, 160_000.0), ((64, 64), 10_000.0)}
    assert spec.layers[0].attention_norm is None
    assert all(layer.attention_norm == layer.feed_forward_norm == spec.final_norm for layer in spec.layers[1:])
    layer = spec.layers[1]
    assert (layer.norm_position, layer.feed_forward.gated, layer.feed_forward.bias, layer.attention.bias) == ("before", True, False, False)
    assert encoder({name: BASE[name] for name in BASE if not name.endswith(("bias", "dropout", "theta", "eps", "layers"))} | TINY)


def test_dropouts_stand_where_the_family_has_them() -> None:
    spec = encoder({**TINY, "attention_dropout": 0.1, "mlp_dropout": 0.2, "embedding_dropout": 0.3})
    layer = spec.layers[1]
    assert (layer.attention.dropout, layer.dropout) == (0.1, 0.1)  # of the probabilities and of the output
    assert (layer.feed_forward.dropout, layer.feed_forward_dropout) == (0.2, 0.0)
    assert spec.embedding.dropout == 0.3


def of_version_5(base: dict[str, Any], kinds: list[str], theta: tuple[float, float]) -> dict[str, Any]:
    old = ("global_attn_every_n_layers", "global_rope_theta", "local_rope_theta")
    rope = {kind: {"rope_type": "default", "rope_theta": value} for kind, value in zip((GLOBAL, LOCAL), theta, strict=True)}
    return {**{name: value for name, value in base.items() if name not in old}, "layer_types": kinds, "rope_parameters": rope}


def test_both_generations_read_alike() -> None:
    assert encoder(of_version_5(TINY, KINDS, (160_000.0, 10_000.0))) == encoder(TINY)
    assert encoder({**TINY, **of_version_5(TINY, [LOCAL] * 4, (7.0, 5.0))}) == encoder(of_version_5(TINY, [LOCAL] * 4, (7.0, 5.0)))
    bare = {name: value for name, value in TINY.items() if "theta" not in name and "global" not in name}
    assert encoder(bare) == encoder(TINY)
    partly = {**bare, "layer_types": None, "rope_parameters": {GLOBAL: {"rope_theta": 99.0}, LOCAL: None}}
    assert encoder(partly) == encoder({**TINY, "global_rope_theta": 99.0})


def test_without_a_local_base_of_its_own_the_global_one_counts() -> None:
    for changed in ({**TINY, "local_rope_theta": None}, {**TINY, "local_rope_theta": None, "global_rope_theta": 50.0}):
        assert len({layer.attention.rotary_base for layer in encoder(changed).layers}) == 1


@given(
    kinds=st.lists(st.sampled_from([GLOBAL, LOCAL]), min_size=1, max_size=6),
    theta=st.tuples(st.floats(2, 1e6), st.floats(2, 1e6)),
    heads=st.integers(1, 4),
    window=st.integers(1, 60),
    biases=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    dropouts=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0, 0.9)),
)
def test_config_and_description_are_inverses(
    kinds: list[str], theta: tuple[float, float], heads: int, window: int, biases: tuple[bool, ...], dropouts: tuple[float, ...]
) -> None:
    changes = {"num_hidden_layers": len(kinds), "num_attention_heads": heads, "hidden_size": 4 * heads, "local_attention": window}
    changes |= dict(zip(("norm_bias", "mlp_bias", "attention_bias"), biases, strict=True))
    changes |= dict(zip(("attention_dropout", "mlp_dropout", "embedding_dropout"), dropouts, strict=True))
    spec = encoder(of_version_5({**TINY, **changes}, kinds, theta))
    written = config(spec)
    assert encoder(written) == spec
    assert config(encoder(written)) == written
    of_version_4 = {name: value for name, value in written.items() if name not in ("layer_types", "rope_parameters")}
    if "global_attn_every_n_layers" in written:
        assert encoder(of_version_4) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 13}, "hidden_size 13 over num_attention_heads 3 must be an even number"),
        ({"hidden_size": 15}, "hidden_size 15 over num_attention_heads 3 must be an even number"),
        ({"layer_types": [GLOBAL]}, "'layer_types' must name .* for each of the 4 layers"),
        ({"layer_types": [GLOBAL, LOCAL, "chunked_attention", LOCAL]}, "'layer_types' must name"),
        ({"layer_types": GLOBAL}, "'layer_types' must name"),
        ({"layer_types": [[], [], [], []]}, "'layer_types' must name"),
        ({"global_attn_every_n_layers": 0}, "'global_attn_every_n_layers' must be a whole number above 0"),
        ({"local_attention": None}, "'local_attention'"),
        ({"rope_parameters": {GLOBAL: {"rope_type": "yarn"}}}, "rotary positions of the kind 'yarn' are not supported"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rotary positions of the kind 'linear' are not supported"),
        ({"rope_parameters": [1]}, "'rope_parameters' and 'rope_scaling' must be tables"),
        ({"rope_parameters": {GLOBAL: [1]}}, "'rope_parameters' and 'rope_scaling' must be tables"),
        ({"rope_parameters": {GLOBAL: {"rope_theta": "big"}}}, "'rope_theta' must be a number above 0"),
        ({"global_rope_theta": -1}, "'global_rope_theta' must be a number above 0"),
        ({"norm_bias": "no"}, "'norm_bias' must be true or false, not 'no'"),
        ({"hidden_activation": "gleu"}, "unknown activation 'gleu'"),
        ({"mlp_dropout": 1.5}, "'mlp_dropout'"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        encoder({**TINY, **changes})


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("sequence_classification", {"classifier_pooling": "max"}, "'classifier_pooling' must be 'cls' or 'mean', not 'max'"),
        ("multiple_choice", {"classifier_pooling": []}, "'classifier_pooling'"),
        ("masked_lm", {"tie_word_embeddings": False}, "tie_word_embeddings false"),
        ("masked_lm", {"classifier_activation": "none"}, "unknown activation 'none'"),
    ],
)
def test_heads_that_cannot_be_run_are_refused(kind: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        MODERNBERT.heads[kind].spec({**TINY, **changes}, encoder(TINY), 3)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("kind", [kind for kind, head in MODERNBERT.heads.items() if head.class_name])
def test_every_parameter_stands_once_in_the_table(kind: Any, biases: bool) -> None:
    changed = {**TINY, **{name: biases for name in TINY if name.endswith("_bias")}}
    spec, definition = encoder(changed), MODERNBERT.heads[kind]
    model = Model(spec, {"head": definition.spec(changed, spec, 3)})
    own = dict(model.named_parameters())
    whole = table(spec) + definition.table("heads.head.").of(own)
    ours = [name for entry in whole.entries for name in entry.ours]
    theirs = [name for entry in whole.entries for name in entry.theirs]
    assert sorted(ours) == sorted(own)
    assert len(set(theirs)) == len(theirs)
    of_its_own = ("heads.head.output", "heads.head.transitions")
    assert any(name.endswith("bias") for name in own if not name.startswith(of_its_own) and name != "heads.head.bias") is biases
    assert all(MODERNBERT.is_body(name) for entry in table(spec).entries for name in entry.theirs)
    assert not any(MODERNBERT.is_body(name) for entry in definition.table("heads.head.").entries for name in entry.theirs)
    assert ARCHITECTURES["modernbert"] is MODERNBERT
