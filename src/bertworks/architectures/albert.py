"""ALBERT (Lan et al. 2020): BERT with narrow embeddings, and with layers that share their weights."""

from dataclasses import replace
from typing import Any

from bertworks.architectures import bert
from bertworks.architectures.architecture import MOST_LAYERS, Architecture, Config, HeadDefinition, probability, whole
from bertworks.architectures.parts import (
    embedding_entries,
    head_table,
    layer_entries,
    masked_lm,
    masked_lm_table,
    question_answering,
    unused,
)
from bertworks.checkpoints.table import Table, renames
from bertworks.errors import CheckpointError
from bertworks.spec import EncoderSpec, HeadSpec

DEFAULTS = {"hidden_act": "gelu_new", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def encoder(config: Config) -> EncoderSpec:
    """`num_hidden_layers` groups follow each other, each of `inner_group_num` layers; they use `num_hidden_groups` sets of
    weights, neighbours the same one."""
    spec = bert.encoder({**DEFAULTS, **config})
    times, sets, inner = len(spec.layers), whole(config, "num_hidden_groups", 1), whole(config, "inner_group_num", 1)
    if sets > times:
        raise CheckpointError(f"config.json: num_hidden_groups {sets} is more than num_hidden_layers {times}: correct them")
    if times * inner > MOST_LAYERS:
        raise CheckpointError(f"config.json: num_hidden_layers × inner_group_num must be {MOST_LAYERS:,} at most: correct them")
    # divided as the reference does it, with the rounding of floats
    weights = [int(i / (times / sets)) * inner + j for i in range(times) for j in range(inner)]
    return replace(
        spec,
        architecture="albert",
        embedding=replace(spec.embedding, width=whole(config, "embedding_size", 128)),
        layers=tuple(replace(spec.layers[0], weights=number) for number in weights),
        projection=True,
        layers_a_group=inner,
    )


def config(spec: EncoderSpec) -> dict[str, Any]:
    inner = spec.layers_a_group
    return bert.config(spec) | {
        "embedding_size": spec.embedding.width,
        "num_hidden_layers": len(spec.layers) // inner,
        "num_hidden_groups": sets_of_weights(spec) // inner,
        "inner_group_num": inner,
    }


def sets_of_weights(spec: EncoderSpec) -> int:
    return len({layer.weights for layer in spec.layers})


def table(spec: EncoderSpec) -> Table:
    inner = spec.layers_a_group
    layers = [
        layer_entries(
            f"encoder.layers.{i}",
            f"encoder.albert_layer_groups.{i // inner}.albert_layers.{i % inner}",
            qkv=["attention.query", "attention.key", "attention.value"],
            output="attention.dense",
            attention_norm="attention.LayerNorm",
            up="ffn",
            down="ffn_output",
            feed_forward_norm="full_layer_layer_norm",
        )
        for i in range(sets_of_weights(spec))
    ]
    entries = (
        *embedding_entries(spec),
        *renames("encoder.projection", "encoder.embedding_hidden_mapping_in"),
        *(entry for layer in layers for entry in layer),
        *(() if spec.pooler is None else renames("encoder.pooler.dense", "pooler")),
    )
    return Table(entries, ignores=unused("predictions|sop_classifier|classifier|qa_outputs"))


def classifier_dropout(config: Config) -> float:
    return probability(config, "classifier_dropout_prob", 0.1)


def on_pooled(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    return HeadSpec("pooled", outputs, dropout=classifier_dropout(config))


def on_tokens(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    return HeadSpec("tokens", outputs, dropout=classifier_dropout(config))


ALBERT = Architecture(
    name="albert",
    prefix="albert.",
    encoder=encoder,
    config=config,
    table=table,
    body_class="AlbertModel",
    body_names=("embeddings", "encoder", "pooler"),
    classes_of_several={frozenset({"masked_lm", "next_sentence"}): "AlbertForPreTraining"},
    dropout_keys=("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"),
    heads={
        "masked_lm": HeadDefinition(
            lambda c, s, n: masked_lm(s, s.layers[0].feed_forward.activation),
            masked_lm_table("predictions.dense", "predictions.LayerNorm", "predictions.decoder", "predictions.bias"),
            "AlbertForMaskedLM",
        ),
        # sentence order prediction: like BERT's head it says with class 0 that the second text follows the first
        "next_sentence": HeadDefinition(
            lambda c, s, n: on_pooled(c, s, 2), head_table("sop_classifier.classifier"), "AlbertForPreTraining", True
        ),
        "sequence_classification": HeadDefinition(on_pooled, head_table("classifier"), "AlbertForSequenceClassification", True),
        "token_classification": HeadDefinition(on_tokens, head_table("classifier"), "AlbertForTokenClassification"),
        "question_answering": question_answering("AlbertForQuestionAnswering"),
        "multiple_choice": HeadDefinition(on_pooled, head_table("classifier"), "AlbertForMultipleChoice", True),
    },
)
