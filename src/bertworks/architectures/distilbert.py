"""DistilBERT (Sanh et al. 2019): BERT without segments and without pooler, under names of its own."""

from dataclasses import replace
from typing import Any

from bertworks.architectures.architecture import (
    MOST_LAYERS,
    Architecture,
    Config,
    HeadDefinition,
    activation_name,
    activation_named,
    positive,
    probability,
    required,
)
from bertworks.architectures.parts import embedding_entries, head_table, layer_entries, masked_lm, masked_lm_table, unused
from bertworks.checkpoints.table import Table
from bertworks.errors import CheckpointError
from bertworks.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, HeadSpec, LayerSpec, NormSpec

ALIASES = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "hidden_dim": "intermediate_size",
    "activation": "hidden_act",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}
"""The family's own keys, and what other families call the same; its own go first where a file has both."""
NORM = NormSpec(1e-12)
"""Not to be set in config.json."""


def encoder(config: Config) -> EncoderSpec:
    config = {**{own: config[other] for own, other in ALIASES.items() if other in config}, **config}
    hidden, heads = required(config, "dim"), required(config, "n_heads")
    if hidden % heads:
        raise CheckpointError(f"config.json: dim {hidden} is not a multiple of n_heads {heads}: correct them")
    dropout = probability(config, "dropout", 0.1)
    layer = LayerSpec(
        attention=AttentionSpec(heads, hidden // heads, dropout=probability(config, "attention_dropout", 0.1)),
        feed_forward=FeedForwardSpec(required(config, "hidden_dim"), activation_named(config.get("activation", "gelu"))),
        norm_position="after",
        attention_norm=NORM,
        feed_forward_norm=NORM,
        dropout=dropout,
    )
    vocabulary, positions = required(config, "vocab_size"), required(config, "max_position_embeddings")
    return EncoderSpec(
        architecture="distilbert",
        hidden=hidden,
        embedding=EmbeddingSpec(vocabulary, hidden, positions, segments=0, norm=NORM, dropout=dropout),
        layers=tuple(replace(layer, weights=i) for i in range(required(config, "n_layers", MOST_LAYERS))),
        initializer_range=positive(config, "initializer_range", 0.02),
    )


def config(spec: EncoderSpec) -> dict[str, Any]:
    layer = spec.layers[0]
    return {
        "model_type": "distilbert",
        "vocab_size": spec.embedding.vocabulary,
        "dim": spec.hidden,
        "n_layers": len(spec.layers),
        "n_heads": layer.attention.heads,
        "hidden_dim": layer.feed_forward.width,
        "activation": activation_name(layer.feed_forward.activation),
        "dropout": layer.dropout,
        "attention_dropout": layer.attention.dropout,
        "max_position_embeddings": spec.max_tokens,
        "initializer_range": spec.initializer_range,
    }


def table(spec: EncoderSpec) -> Table:
    layers = [
        layer_entries(
            f"encoder.layers.{i}",
            f"transformer.layer.{i}",
            qkv=["attention.q_lin", "attention.k_lin", "attention.v_lin"],
            output="attention.out_lin",
            attention_norm="sa_layer_norm",
            up="ffn.lin1",
            down="ffn.lin2",
            feed_forward_norm="output_layer_norm",
        )
        for i in range(len(spec.layers))
    ]
    heads = "vocab_transform|vocab_layer_norm|vocab_projector|pre_classifier|classifier|qa_outputs"
    return Table((*embedding_entries(spec), *(entry for layer in layers for entry in layer)), ignores=unused(heads))


def on_first(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    dropout = probability(config, "seq_classif_dropout", 0.2)
    return HeadSpec("first", outputs, dense=spec.hidden, activation="relu", dropout=dropout)


on_first_table = head_table("classifier", "pre_classifier")

DISTILBERT = Architecture(
    name="distilbert",
    prefix="distilbert.",
    encoder=encoder,
    config=config,
    table=table,
    body_class="DistilBertModel",
    body_names=("embeddings", "transformer"),
    dropout_keys=("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout"),
    heads={
        "masked_lm": HeadDefinition(
            lambda c, s, n: masked_lm(s, s.layers[0].feed_forward.activation),
            masked_lm_table("vocab_transform", "vocab_layer_norm", "vocab_projector"),
            "DistilBertForMaskedLM",
        ),
        "sequence_classification": HeadDefinition(on_first, on_first_table, "DistilBertForSequenceClassification"),
        "token_classification": HeadDefinition(
            lambda c, s, n: HeadSpec("tokens", n, dropout=s.embedding.dropout), head_table("classifier"), "DistilBertForTokenClassification"
        ),
        "question_answering": HeadDefinition(
            lambda c, s, n: HeadSpec("tokens", 2, dropout=probability(c, "qa_dropout", 0.1)),
            head_table("qa_outputs"),
            "DistilBertForQuestionAnswering",
        ),
        "multiple_choice": HeadDefinition(on_first, on_first_table, "DistilBertForMultipleChoice"),
    },
)
