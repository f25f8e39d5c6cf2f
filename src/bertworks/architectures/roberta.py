"""RoBERTa (Liu et al. 2019), XLM-RoBERTa (Conneau et al. 2020) and CamemBERT (Martin et al. 2020): BERT's encoder with heads
of their own, and with positions that are numbered from behind the padding token's id on."""

from dataclasses import replace
from functools import partial
from typing import Any

from bertworks.architectures import bert
from bertworks.architectures.architecture import Architecture, Config, HeadDefinition, probability, whole
from bertworks.architectures.parts import head_table, masked_lm, masked_lm_table, question_answering
from bertworks.checkpoints.table import Table
from bertworks.errors import CheckpointError
from bertworks.spec import EncoderSpec, HeadSpec


def encoder(name: str, config: Config) -> EncoderSpec:
    spec = bert.encoder(config)
    rows, offset = spec.embedding.max_tokens, 1 + whole(config, "pad_token_id", 1, least=0)
    if rows <= offset:
        raise CheckpointError(
            f"config.json: max_position_embeddings {rows} leaves no position behind that of pad_token_id {offset - 1}: correct them"
        )
    return replace(spec, architecture=name, embedding=replace(spec.embedding, max_tokens=rows - offset, position_offset=offset))


def config(spec: EncoderSpec) -> dict[str, Any]:
    offset = spec.embedding.position_offset
    return bert.config(spec) | {"max_position_embeddings": spec.max_tokens + offset, "pad_token_id": offset - 1}


def table(spec: EncoderSpec) -> Table:
    return bert.table(spec, "lm_head|classifier|qa_outputs")


def on_first(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    dropout = bert.classifier_dropout(config)
    return HeadSpec("first", outputs, input_dropout=dropout, dense=spec.hidden, activation="tanh", dropout=dropout)


def on_pooled(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    return HeadSpec("pooled", outputs, dropout=probability(config, "hidden_dropout_prob", 0.1))


def family(name: str, classes: str) -> Architecture:
    """One of the three, by its `model_type` and what the names of its classes begin with."""
    return Architecture(
        name=name,
        prefix="roberta.",
        encoder=partial(encoder, name),
        config=config,
        table=table,
        body_class=f"{classes}Model",
        body_names=("embeddings", "encoder", "pooler"),
        heads={
            "masked_lm": HeadDefinition(
                lambda c, s, n: masked_lm(s, "gelu"),  # whatever hidden_act says
                masked_lm_table("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "lm_head.bias"),
                f"{classes}ForMaskedLM",
            ),
            "sequence_classification": HeadDefinition(
                on_first, head_table("classifier.out_proj", "classifier.dense"), f"{classes}ForSequenceClassification"
            ),
            "token_classification": HeadDefinition(bert.on_tokens, head_table("classifier"), f"{classes}ForTokenClassification"),
            "question_answering": question_answering(f"{classes}ForQuestionAnswering"),
            "multiple_choice": HeadDefinition(on_pooled, head_table("classifier"), f"{classes}ForMultipleChoice", True),
        },
    )


ROBERTA = family("roberta", "Roberta")
XLM_ROBERTA = family("xlm-roberta", "XLMRoberta")
CAMEMBERT = family("camembert", "Camembert")
