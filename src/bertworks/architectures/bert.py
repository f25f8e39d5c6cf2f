"""BERT (Devlin et al. 2019), of any size."""

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
    whole,
)
from bertworks.architectures.parts import (
    embedding_entries,
    head_table,
    layer_entries,
    masked_lm,
    masked_lm_table,
    question_answering,
    refuse_decoders,
    unused,
)
from bertworks.checkpoints.table import Table, renames
from bertworks.errors import CheckpointError
from bertworks.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, HeadSpec, LayerSpec, NormSpec, PoolerSpec

HEADS = "cls|classifier|qa_outputs"


def encoder(config: Config) -> EncoderSpec:
    refuse_decoders(config)
    hidden, heads = required(config, "hidden_size"), required(config, "num_attention_heads")
    if hidden % heads:
        raise CheckpointError(f"config.json: hidden_size {hidden} is not a multiple of num_attention_heads {heads}: correct them")
    norm = NormSpec(positive(config, "layer_norm_eps", 1e-12))
    dropout = probability(config, "hidden_dropout_prob", 0.1)
    layer = LayerSpec(
        attention=AttentionSpec(heads, hidden // heads, dropout=probability(config, "attention_probs_dropout_prob", 0.1)),
        feed_forward=FeedForwardSpec(required(config, "intermediate_size"), activation_named(config.get("hidden_act", "gelu"))),
        norm_position="after",
        attention_norm=norm,
        feed_forward_norm=norm,
        dropout=dropout,
    )
    return EncoderSpec(
        architecture="bert",
        hidden=hidden,
        embedding=EmbeddingSpec(
            vocabulary=required(config, "vocab_size"),
            width=hidden,
            max_tokens=required(config, "max_position_embeddings"),
            segments=whole(config, "type_vocab_size", 2),
            norm=norm,
            dropout=dropout,
        ),
        layers=tuple(replace(layer, weights=i) for i in range(required(config, "num_hidden_layers", MOST_LAYERS))),
        pooler=PoolerSpec(),
        initializer_range=positive(config, "initializer_range", 0.02),
    )


def config(spec: EncoderSpec) -> dict[str, Any]:
    layer = spec.layers[0]
    assert spec.embedding.norm is not None
    return {
        "model_type": spec.architecture,
        "vocab_size": spec.embedding.vocabulary,
        "hidden_size": spec.hidden,
        "num_hidden_layers": len(spec.layers),
        "num_attention_heads": layer.attention.heads,
        "intermediate_size": layer.feed_forward.width,
        "hidden_act": activation_name(layer.feed_forward.activation),
        "hidden_dropout_prob": layer.dropout,
        "attention_probs_dropout_prob": layer.attention.dropout,
        "max_position_embeddings": spec.max_tokens,
        "type_vocab_size": spec.embedding.segments,
        "layer_norm_eps": spec.embedding.norm.epsilon,
        "initializer_range": spec.initializer_range,
    }


def table(spec: EncoderSpec, other_heads: str = HEADS) -> Table:
    """`other_heads` are the first parts of the names of heads that a folder may hold beside the body."""
    layers = [
        layer_entries(
            f"encoder.layers.{i}",
            f"encoder.layer.{i}",
            qkv=[f"attention.self.{part}" for part in ("query", "key", "value")],
            output="attention.output.dense",
            attention_norm="attention.output.LayerNorm",
            up="intermediate.dense",
            down="output.dense",
            feed_forward_norm="output.LayerNorm",
        )
        for i in range(len(spec.layers))
    ]
    pooler = () if spec.pooler is None else renames("encoder.pooler.dense", "pooler.dense")
    entries = (*embedding_entries(spec), *(entry for layer in layers for entry in layer), *pooler)
    return Table(entries, ignores=unused(other_heads))


def classifier_dropout(config: Config) -> float:
    return probability(config, "classifier_dropout", probability(config, "hidden_dropout_prob", 0.1))


def on_pooled(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    return HeadSpec("pooled", outputs, dropout=classifier_dropout(config))


def on_tokens(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    return HeadSpec("tokens", outputs, dropout=classifier_dropout(config))


BERT = Architecture(
    name="bert",
    prefix="bert.",
    encoder=encoder,
    config=config,
    table=table,
    body_class="BertModel",
    body_names=("embeddings", "encoder", "pooler"),
    classes_of_several={frozenset({"masked_lm", "next_sentence"}): "BertForPreTraining"},
    heads={
        "masked_lm": HeadDefinition(
            lambda c, s, n: masked_lm(s, s.layers[0].feed_forward.activation),
            masked_lm_table(
                "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder", "cls.predictions.bias"
            ),
            "BertForMaskedLM",
        ),
        "next_sentence": HeadDefinition(
            lambda c, s, n: HeadSpec("pooled", 2), head_table("cls.seq_relationship"), "BertForNextSentencePrediction", True
        ),
        "sequence_classification": HeadDefinition(on_pooled, head_table("classifier"), "BertForSequenceClassification", True),
        "token_classification": HeadDefinition(on_tokens, head_table("classifier"), "BertForTokenClassification"),
        "question_answering": question_answering("BertForQuestionAnswering"),
        "multiple_choice": HeadDefinition(on_pooled, head_table("classifier"), "BertForMultipleChoice", True),
    },
)
