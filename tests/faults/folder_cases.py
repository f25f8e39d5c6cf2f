"""Model folders that are incomplete, damaged, or made to do harm."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.errors import CheckpointError
from tests.faults.case import Case, Change, bytes_of, done, file, json_with, without

LOAD = "bertworks predict model 'a text'"
VERIFY = "bw.load('model', verify=True)"
WEIGHTS = "model/model.safetensors"


class Trap:
    """What a pickle can do: make a folder when it is opened."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("trap",)


def config(**changes: Any) -> tuple[Change, ...]:
    return (json_with("model/config.json", **changes),)


def settings(**changes: Any) -> tuple[Change, ...]:
    def change() -> None:
        path = Path("model/bertworks.json")
        content = json.loads(path.read_text(encoding="utf-8"))
        content["settings"].update(changes)
        path.write_text(json.dumps(content), encoding="utf-8")

    return (change,)


def header(change_of: Callable[[dict[str, Any]], None]) -> tuple[Change, ...]:
    """Changes the header of the weights, and leaves the numbers."""

    def change(data: bytes) -> bytes:
        length = struct.unpack("<Q", data[:8])[0]
        table = json.loads(data[8 : 8 + length])
        change_of(table)
        text = json.dumps(table).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    return (bytes_of(WEIGHTS, change),)


def tensors(change_of: Callable[[dict[str, Any]], None]) -> tuple[Change, ...]:
    """Changes the tensors."""

    def change() -> None:
        from bertworks.checkpoints import open_tensors, write_tensors

        with open_tensors(Path("model")) as files:
            arrays = {name: np.array(files[name]) for name in files}
        change_of(arrays)
        write_tensors(Path(WEIGHTS), arrays)

    return (change,)


def pickled(name: str) -> tuple[Change, ...]:
    return (without(WEIGHTS), file(f"model/{name}", pickle.dumps(Trap())))


def shards(**weight_map: str) -> tuple[Change, ...]:
    return (without(WEIGHTS), file(f"{WEIGHTS}.index.json", json.dumps({"weight_map": weight_map})))


def _first(table: dict[str, Any]) -> dict[str, Any]:
    return next(value for name, value in table.items() if name != "__metadata__")


FOLDERS = [
    Case(
        "a folder with nothing in it",
        "bertworks predict nothing text",
        CheckpointError,
        "nothing/config.json is missing",
        "copy the model again",
        (done(lambda: Path("nothing").mkdir()),),
    ),
    Case(
        "an encoder that was never trained",
        "bertworks predict encoder text",
        CheckpointError,
        "encoder is no finished model",
        "train one from it",
    ),
    Case("a model without weights", LOAD, CheckpointError, "no weights in model", "Download or copy the model again", (without(WEIGHTS),)),
    Case(
        "weights in a pickle",
        LOAD,
        CheckpointError,
        "weights.pkl is a pickle",
        "save the weights as model.safetensors",
        pickled("weights.pkl"),
    ),
    Case(
        "a pickle under the name of PyTorch's weights",
        LOAD,
        CheckpointError,
        "model/pytorch_model.bin holds more than tensors",
        "save the weights as model.safetensors",
        pickled("pytorch_model.bin"),
        vague=r"(?<=tensors \().*?(?=\):)",
    ),
    Case(
        "weights of another library",
        LOAD,
        CheckpointError,
        "tf_model.h5 has TensorFlow's format",
        "convert it to model.safetensors",
        (without(WEIGHTS), file("model/tf_model.h5", b"")),
    ),
    Case(
        "weights that are a Git LFS pointer",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} is a Git LFS pointer",
        "run 'git lfs pull'",
        (file(WEIGHTS, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),),
    ),
    Case(
        "weights that are a web page",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} is a web page",
        "fetch it again",
        (file(WEIGHTS, "<!DOCTYPE html><html>Not Found</html>"),),
    ),
    Case(
        "weights cut short",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} is cut short",
        "download or copy it again",
        (bytes_of(WEIGHTS, lambda data: data[:-100]),),
    ),
    Case(
        "weights with something behind them",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} holds 5 bytes more",
        "download or copy it again",
        (bytes_of(WEIGHTS, lambda data: data + b"extra"),),
    ),
    Case(
        "a header longer than the file",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} is cut short",
        "download or copy it again",
        (bytes_of(WEIGHTS, lambda data: struct.pack("<Q", 10**7) + data[8:]),),
    ),
    Case(
        "a header of absurd length",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} is no safetensors file, or is damaged",
        "download or copy it again",
        (bytes_of(WEIGHTS, lambda data: b"\xff" * 8 + data[8:]),),
    ),
    Case(
        "a header that is no JSON",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} has a damaged header",
        "download or copy it again",
        (bytes_of(WEIGHTS, lambda data: data[:9] + b"\xff" + data[10:]),),
    ),
    Case(
        "a header nested without end",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} has a damaged header (nested too deeply)",
        "download or copy it again",
        (file(WEIGHTS, struct.pack("<Q", 100_000) + b"[" * 100_000),),
    ),
    Case(
        "tensors that overlap",
        LOAD,
        CheckpointError,
        "overlaps another or leaves a gap",
        "download it again",
        header(lambda table: _first(table).update(_first(dict(reversed(table.items()))))),
    ),
    Case(
        "a tensor larger than its bytes",
        LOAD,
        CheckpointError,
        "has a damaged header (tensor 'bert.embeddings.LayerNorm.bias' is F32 [800]",
        "download or copy it again",
        header(lambda table: table["bert.embeddings.LayerNorm.bias"].update(shape=[800])),
    ),
    Case(
        "a tensor of a negative size",
        LOAD,
        CheckpointError,
        "has a damaged header (tensor 'bert.embeddings.LayerNorm.bias')",
        "download or copy it again",
        header(lambda table: table["bert.embeddings.LayerNorm.bias"].update(shape=[-8])),
    ),
    Case(
        "a kind of number that is not read",
        LOAD,
        CheckpointError,
        "tensor 'bert.embeddings.LayerNorm.bias' is stored as F8_E4M3",
        "convert it to one of these",
        header(lambda table: table["bert.embeddings.LayerNorm.bias"].update(dtype="F8_E4M3")),
    ),
    Case(
        "weights that lack a tensor",
        LOAD,
        CheckpointError,
        "missing     pooler.dense.bias",
        "Copy or download it again",
        tensors(lambda arrays: arrays.pop("bert.pooler.dense.bias")),
        table=True,
    ),
    Case(
        "weights with a tensor too many",
        LOAD,
        CheckpointError,
        "unexpected  unheard.of [3]",
        "Copy or download it again",
        tensors(lambda arrays: arrays.update({"unheard.of": np.zeros(3, np.float32)})),
        table=True,
    ),
    Case(
        "weights that hold no numbers",
        LOAD,
        CheckpointError,
        "classifier.bias holds NaN or infinity",
        "Copy or download it again",
        tensors(lambda arrays: arrays["classifier.bias"].fill(np.nan)),
        table=True,
    ),
    Case(
        "weights in whole numbers",
        LOAD,
        CheckpointError,
        "classifier.bias holds int8",
        "floating-point weights only",
        tensors(lambda arrays: arrays.update({"classifier.bias": np.zeros(2, np.int8)})),
        table=True,
    ),
    Case(
        "an index that leads out of the folder",
        LOAD,
        CheckpointError,
        "names the file '../../etc/passwd'",
        "refused",
        shards(a="../../etc/passwd"),
    ),
    Case("an index that leads to the root", LOAD, CheckpointError, "names the file '/etc/passwd'", "refused", shards(a="/etc/passwd")),
    Case(
        "an index of files that are not there",
        LOAD,
        CheckpointError,
        "model lacks model-00001-of-00002.safetensors",
        "download or copy the model again",
        shards(a="model-00001-of-00002.safetensors"),
    ),
    Case(
        "a file that is a link to somewhere else",
        LOAD,
        CheckpointError,
        "model/vocab.txt is a link to",
        "copy it here",
        (
            without("model/tokenizer.json"),
            without("model/vocab.txt"),
            file("secret", "key"),
            done(lambda: Path("model/vocab.txt").symlink_to("../secret")),
        ),
    ),
    Case(
        "a pipe instead of weights",
        LOAD,
        CheckpointError,
        f"{WEIGHTS} is a pipe, not a file",
        "download or copy the model again",
        (without(WEIGHTS), done(lambda: os.mkfifo(WEIGHTS))),
    ),
    Case(
        "a folder instead of config.json",
        LOAD,
        CheckpointError,
        "model/config.json is a folder, not a file",
        "download or copy the model again",
        (without("model/config.json"), file("model/config.json/x", "")),
    ),
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
        "copy or download the model again",
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
        "copy or download the model again",
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
        "3 of 3 smoke cases",
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
