"""ELECTRA (Clark et al. 2020), generators and discriminators: BERT without pooler, with embeddings of a width of their own."""

from dataclasses import replace
from typing import Any

from bertworks.architectures import bert
from bertworks.architectures.architecture import Architecture, Config, HeadDefinition, activation_named, probability, whole
from bertworks.architectures.parts import GENERATOR, head_table, masked_lm, masked_lm_table, question_answering
from bertworks.checkpoints.table import Ignore, Table, renames
from bertworks.errors import CheckpointError
from bertworks.spec import EncoderSpec, HeadSpec


def encoder(config: Config) -> EncoderSpec:
    spec = bert.encoder(config)
    width = whole(config, "embedding_size", 128)
    embedding = replace(spec.embedding, width=width)
    return replace(spec, architecture="electra", embedding=embedding, pooler=None, projection=width != spec.hidden)


def config(spec: EncoderSpec) -> dict[str, Any]:
    return bert.config(spec) | {"embedding_size": spec.embedding.width}


def table(spec: EncoderSpec) -> Table:
    projection = Table(renames("encoder.projection", "embeddings_project") if spec.projection else ())
    heads = "generator_predictions|generator_lm_head|discriminator_predictions|sequence_summary|classifier|qa_outputs"
    generator = Table(ignores=(Ignore(r"generator\..*", GENERATOR),))
    return projection + bert.table(spec, heads) + generator


def on_first(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    dropout = bert.classifier_dropout(config)
    return HeadSpec("first", outputs, input_dropout=dropout, dense=spec.hidden, activation="gelu", dropout=dropout)


def on_tokens_through_dense(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    return HeadSpec("tokens", 1, dense=spec.hidden, activation=spec.layers[0].feed_forward.activation)


def on_summary(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    """One state of a sequence, as the keys `summary_…` choose it."""
    kind, activation = config.get("summary_type", "first"), config.get("summary_activation", "gelu")
    first_dropout, dropout = probability(config, "summary_first_dropout", 0.0), probability(config, "summary_last_dropout", 0.1)
    if not config.get("summary_use_proj", True):
        raise CheckpointError("config.json: summary_use_proj false (a summary without its dense layer) is not supported")
    if kind not in ("first", "last", "mean"):
        raise CheckpointError(f"config.json: summary_type {kind!r:.100} is not supported; first, last and mean are")
    return HeadSpec(
        kind,
        outputs,
        input_dropout=first_dropout,
        dense=spec.hidden,
        activation=activation_named(activation) if activation else None,
        dropout=dropout,
    )


ELECTRA = Architecture(
    name="electra",
    prefix="electra.",
    encoder=encoder,
    config=config,
    table=table,
    body_class="ElectraModel",
    body_names=("embeddings", "embeddings_project", "encoder"),
    dropout_keys=("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "summary_last_dropout"),
    heads={
        "masked_lm": HeadDefinition(
            lambda c, s, n: masked_lm(s, "gelu"),  # whatever hidden_act says
            masked_lm_table("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head"),
            "ElectraForMaskedLM",
        ),
        "replaced_token_detection": HeadDefinition(
            on_tokens_through_dense,
            head_table("discriminator_predictions.dense_prediction", "discriminator_predictions.dense"),
            "ElectraForPreTraining",
        ),
        "sequence_classification": HeadDefinition(
            on_first, head_table("classifier.out_proj", "classifier.dense"), "ElectraForSequenceClassification"
        ),
        "token_classification": HeadDefinition(bert.on_tokens, head_table("classifier"), "ElectraForTokenClassification"),
        "question_answering": question_answering("ElectraForQuestionAnswering"),
        "multiple_choice": HeadDefinition(on_summary, head_table("classifier", "sequence_summary.summary"), "ElectraForMultipleChoice"),
    },
)
