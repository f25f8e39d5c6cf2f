"""BERT (Devlin et al. 2019), of any size."""

from typing import Any

from bertworks.architectures.architecture import (
    MOST_LAYERS,
    Architecture,
    Config,
    HeadDefinition,
    activation_named,
    positive,
    probability,
    required,
)
from bertworks.checkpoints.table import Entry, Fuse, Ignore, Rename, Table, Tie, renames
from bertworks.errors import CheckpointError
from bertworks.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, HeadSpec, LayerSpec, NormSpec, PoolerSpec


def encoder(config: Config) -> EncoderSpec:
    positions = config.get("position_embedding_type") or "absolute"
    if positions != "absolute":
        raise CheckpointError(
            f"config.json: position_embedding_type '{positions!s:.100}' (relative positions) is not supported; only 'absolute' is"
        )
    if config.get("is_decoder") or config.get("add_cross_attention"):
        raise CheckpointError("config.json: a BERT decoder (is_decoder, add_cross_attention) is not supported; bertworks runs encoders")
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
            segments=required(config, "type_vocab_size") if "type_vocab_size" in config else 2,
            norm=norm,
            dropout=dropout,
        ),
        layers=tuple(LayerSpec(**{**vars(layer), "weights": i}) for i in range(required(config, "num_hidden_layers", MOST_LAYERS))),
        pooler=PoolerSpec(),
        initializer_range=positive(config, "initializer_range", 0.02),
    )


def config(spec: EncoderSpec) -> dict[str, Any]:
    layer = spec.layers[0]
    activation = "gelu_new" if layer.feed_forward.activation == "gelu_tanh" else layer.feed_forward.activation
    assert spec.embedding.norm is not None
    return {
        "model_type": "bert",
        "vocab_size": spec.embedding.vocabulary,
        "hidden_size": spec.hidden,
        "num_hidden_layers": len(spec.layers),
        "num_attention_heads": layer.attention.heads,
        "intermediate_size": layer.feed_forward.width,
        "hidden_act": activation,
        "hidden_dropout_prob": layer.dropout,
        "attention_probs_dropout_prob": layer.attention.dropout,
        "max_position_embeddings": spec.max_tokens,
        "type_vocab_size": spec.embedding.segments,
        "layer_norm_eps": spec.embedding.norm.epsilon,
        "initializer_range": spec.initializer_range,
    }


def table(spec: EncoderSpec) -> Table:
    entries: list[Entry] = [
        Rename("encoder.embeddings.token.weight", "embeddings.word_embeddings.weight"),
        Rename("encoder.embeddings.position.weight", "embeddings.position_embeddings.weight"),
        Rename("encoder.embeddings.segment.weight", "embeddings.token_type_embeddings.weight"),
        *renames("encoder.embeddings.norm", "embeddings.LayerNorm"),
    ]
    for i in range(len(spec.layers)):
        ours, theirs = f"encoder.layers.{i}", f"encoder.layer.{i}"
        of_self = {part: [f"{theirs}.attention.self.{x}.{part}" for x in ("query", "key", "value")] for part in ("weight", "bias")}
        entries += [Fuse(f"{ours}.attention.qkv.{part}", names) for part, names in of_self.items()]
        entries += renames(f"{ours}.attention.output", f"{theirs}.attention.output.dense")
        entries += renames(f"{ours}.attention_norm", f"{theirs}.attention.output.LayerNorm")
        entries += renames(f"{ours}.feed_forward.up", f"{theirs}.intermediate.dense")
        entries += renames(f"{ours}.feed_forward.down", f"{theirs}.output.dense")
        entries += renames(f"{ours}.feed_forward_norm", f"{theirs}.output.LayerNorm")
    if spec.pooler is not None:
        entries += renames("encoder.pooler.dense", "pooler.dense")
    ignores = (
        Ignore(r"embeddings\.(position_ids|token_type_ids)", "constants that old versions stored"),
        Ignore(r"pooler\..*", "the pooler, which this model does not use"),
        Ignore(r"(cls|classifier|qa_outputs)\..*", "the head of another task"),
    )
    return Table(tuple(entries), ignores=ignores)


def _on_pooled(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    hidden_dropout = probability(config, "hidden_dropout_prob", 0.1)
    return HeadSpec(reads="pooled", outputs=outputs, dropout=probability(config, "classifier_dropout", hidden_dropout))


def _on_tokens(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    return HeadSpec(**{**vars(_on_pooled(config, spec, outputs)), "reads": "tokens"})


def _masked_lm(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    norm = spec.embedding.norm
    activation = activation_named(config.get("hidden_act", "gelu"))
    return HeadSpec(reads="targets", outputs=spec.embedding.vocabulary, dense=spec.hidden, activation=activation, norm=norm, tied=True)


def _masked_lm_table(ours: str) -> Table:
    theirs = "cls.predictions."
    return Table(
        (
            *renames(f"{ours}dense", f"{theirs}transform.dense"),
            *renames(f"{ours}norm", f"{theirs}transform.LayerNorm"),
            Rename(f"{ours}bias", f"{theirs}bias"),
        ),
        ties=(Tie(f"{theirs}decoder.weight", "embeddings.word_embeddings.weight"), Tie(f"{theirs}decoder.bias", f"{theirs}bias")),
    )


def _output_table(theirs: str) -> Any:
    return lambda ours: Table(renames(f"{ours}output", theirs))


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
        "masked_lm": HeadDefinition(_masked_lm, _masked_lm_table, "BertForMaskedLM"),
        "next_sentence": HeadDefinition(
            lambda c, s, n: HeadSpec(reads="pooled", outputs=2),
            _output_table("cls.seq_relationship"),
            "BertForNextSentencePrediction",
            True,
        ),
        "sequence_classification": HeadDefinition(_on_pooled, _output_table("classifier"), "BertForSequenceClassification", True),
        "token_classification": HeadDefinition(_on_tokens, _output_table("classifier"), "BertForTokenClassification"),
        "question_answering": HeadDefinition(
            lambda c, s, n: HeadSpec(reads="tokens", outputs=2), _output_table("qa_outputs"), "BertForQuestionAnswering"
        ),
        "multiple_choice": HeadDefinition(_on_pooled, _output_table("classifier"), "BertForMultipleChoice", True),
    },
)
