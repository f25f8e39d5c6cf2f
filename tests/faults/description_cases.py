"""What a model folder says of itself and cannot be: config.json, bertworks.json, smoke.json."""

import json
from pathlib import Path
from typing import Any

from bertworks.errors import CheckpointError
from tests.faults.case import Case, Change, file, json_with, without
from tests.faults.folder_cases import LOAD, tensors

VERIFY = "bw.load('model', verify=True)"


def config(**changes: Any) -> tuple[Change, ...]:
    return (json_with("model/config.json", **changes),)


def settings(**changes: Any) -> tuple[Change, ...]:
    def change() -> None:
        path = Path("model/bertworks.json")
        content = json.loads(path.read_text(encoding="utf-8"))
        content["settings"].update(changes)
        path.write_text(json.dumps(content), encoding="utf-8")

    return (change,)


DESCRIPTIONS = [
    Case(
        "a config.json with a slip",
        LOAD,
        CheckpointError,
        "model/config.json, line 1, column 16",
        "correct it or copy it again",
        (file("model/config.json", '{"model_type": bert}'),),
    ),
    Case(
        "a config.json that says two things",
        LOAD,
        CheckpointError,
        "model/config.json",
        "the name 'hidden_size' stands twice",
        (file("model/config.json", '{"hidden_size": 8, "hidden_size": 80}'),),
    ),
    Case(
        "a config.json nested without end",
        LOAD,
        CheckpointError,
        "model/config.json is nested too deeply",
        "download or copy it again",
        (file("model/config.json", '{"a":' * 50_000),),
    ),
    Case(
        "a model of another family",
        LOAD,
        CheckpointError,
        "model: the architecture 'deberta' is not supported",
        "relative-position",
        config(model_type="deberta"),
    ),
    Case(
        "a model of a family with a slip",
        LOAD,
        CheckpointError,
        "model: unknown architecture 'brt'",
        "Did you mean 'bert'?",
        config(model_type="brt"),
    ),
    Case(
        "a hidden size of a billion",
        LOAD,
        CheckpointError,
        "model: config.json: 'hidden_size'",
        "100,000,000 at most",
        config(hidden_size=10**9),
    ),
    Case(
        "a vocabulary of a billion words",
        LOAD,
        CheckpointError,
        "embeddings.word_embeddings.weight",
        "config.json says [100000000, 8]",
        config(vocab_size=10**8),
        table=True,
    ),
    Case(
        "a million layers",
        LOAD,
        CheckpointError,
        "model: config.json: 'num_hidden_layers'",
        "1,000 at most",
        config(num_hidden_layers=10**6),
    ),
    Case("a size below zero", LOAD, CheckpointError, "'intermediate_size'", "a whole number above 0, not -3", config(intermediate_size=-3)),
    Case("a size that is a text", LOAD, CheckpointError, "'vocab_size'", "a whole number above 0, not '30k'", config(vocab_size="30k")),
    Case(
        "a size that is true",
        LOAD,
        CheckpointError,
        "'max_position_embeddings'",
        "a whole number above 0, not True",
        config(max_position_embeddings=True),
    ),
    Case(
        "heads that do not divide the hidden size",
        LOAD,
        CheckpointError,
        "model: config.json: hidden_size 8",
        "not a multiple of num_attention_heads 3",
        config(num_attention_heads=3),
    ),
    Case("a dropout of 2", LOAD, CheckpointError, "'hidden_dropout_prob'", "must be at least 0 and below 1", config(hidden_dropout_prob=2)),
    Case(
        "an activation with a slip", LOAD, CheckpointError, "unknown activation 'gleu'", "Did you mean 'gelu'?", config(hidden_act="gleu")
    ),
    Case(
        "labels that are no table",
        LOAD,
        CheckpointError,
        "model: config.json: 'id2label'",
        'from "0" on',
        (without("model/bertworks.json"), *config(id2label=["a", "b"])),
    ),
    Case(
        "a task that is not known",
        LOAD,
        CheckpointError,
        "model/bertworks.json: this model was saved for the task 'poetry'",
        "known: text_classification",
        (json_with("model/bertworks.json", task="poetry"),),
    ),
    Case(
        "a setting that is not known",
        LOAD,
        CheckpointError,
        "model/bertworks.json: text classification has no setting 'max_token'",
        "Did you mean 'max_tokens'?",
        settings(max_token=3),
    ),
    Case(
        "a setting of the wrong type",
        LOAD,
        CheckpointError,
        "'max_tokens' must be a whole number, not 'many'",
        "Copy or download the model again",
        settings(max_tokens="many"),
    ),
    Case(
        "more labels than outputs",
        LOAD,
        CheckpointError,
        "classifier.weight",
        "[2, 8] in the file, config.json says [3, 8]",
        settings(labels=["a", "b", "c"]),
        table=True,
    ),
    Case(
        "a threshold above 1",
        LOAD,
        CheckpointError,
        "model/bertworks.json: text classification: a threshold lies outside [0, 1]",
        "Copy or download the model again",
        settings(kind="multi", thresholds=[0.5, 7]),
    ),
    Case(
        "more tokens than positions",
        LOAD,
        CheckpointError,
        "model/bertworks.json: max_tokens is 9,999",
        "the model reads 64 at most",
        settings(max_tokens=9999),
    ),
    Case(
        "a changed weight",
        VERIFY,
        CheckpointError,
        "model: the model does not answer as it did when it was saved: 3 of 3 smoke cases",
        "restore the folder from its source",
        tensors(lambda arrays: arrays["classifier.bias"].__setitem__(0, 9.0)),
        vague=r"(?<=saved with ).*(?=\): restore)|(?<=differs by up to )[\d.]+",
    ),
    Case(
        "a changed label",
        VERIFY,
        CheckpointError,
        "model: the model answers its smoke cases as before",
        "Restore the folder from its source",
        settings(labels=["negative", "neutral"]),
    ),
    Case(
        "smoke cases that verify anything",
        VERIFY,
        CheckpointError,
        "model/smoke.json is damaged",
        "save the model again",
        (json_with("model/smoke.json", tolerance=1e300),),
    ),
    Case(
        "smoke cases that are no texts",
        VERIFY,
        CheckpointError,
        "model/smoke.json is damaged: a case's input is 7",
        "copy or download the model again",
        (json_with("model/smoke.json", cases=[{"input": 7, "output": [0.5, 0.5]}]),),
    ),
    Case(
        "a model without smoke cases, to be verified",
        VERIFY,
        CheckpointError,
        "model has no smoke.json",
        "load it without verify",
        (without("model/smoke.json"),),
    ),
    Case(
        "a model that is saved over another", "bw.load('model').save('pairs')", CheckpointError, "pairs already exists", "ask to replace it"
    ),
]
