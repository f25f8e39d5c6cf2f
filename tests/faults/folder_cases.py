"""Weights and files of model folders that are missing, damaged, or made to do harm."""

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.errors import CheckpointError
from tests.faults.case import Case, Change, bytes_of, done, file, json_with, without

LOAD = "bertworks predict model 'a text'"
WEIGHTS = "model/model.safetensors"


ENCODE = "bw.Encoder('google')"


class Trap:
    """What a pickle can do: make a folder when it is opened."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("trap",)


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


def google() -> None:
    """A folder such as google-research/bert has published."""
    shutil.copytree(Path(__file__).parents[1] / "checkpoints" / "tensorflow", "google")


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
        "tf_model.h5 has Keras's format",
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
        "Copy or download them again",
        tensors(lambda arrays: arrays.pop("bert.pooler.dense.bias")),
        table=True,
    ),
    Case(
        "weights with a tensor too many",
        LOAD,
        CheckpointError,
        "unexpected  unheard.of [3]",
        "Copy or download them again",
        tensors(lambda arrays: arrays.update({"unheard.of": np.zeros(3, np.float32)})),
        table=True,
    ),
    Case(
        "weights that hold no numbers",
        LOAD,
        CheckpointError,
        "classifier.bias holds NaN or infinity",
        "Copy or download them again",
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
        "a TensorFlow checkpoint cut short",
        ENCODE,
        CheckpointError,
        "google/bert_model.ckpt.data-00000-of-00001 is cut short",
        "download or copy it again",
        (google, bytes_of("google/bert_model.ckpt.data-00000-of-00001", lambda data: data[:-100])),
    ),
    Case(
        "a TensorFlow checkpoint whose numbers changed",
        ENCODE,
        CheckpointError,
        "variable 'bert/pooler/dense/kernel' is damaged",
        "download or copy it again",
        (google, bytes_of("google/bert_model.ckpt.data-00000-of-00001", lambda data: data[:37000] + b"damage" + data[37006:])),
    ),
    Case(
        "a TensorFlow checkpoint with a damaged index",
        ENCODE,
        CheckpointError,
        "google/bert_model.ckpt.index is damaged (a checksum differs)",
        "download or copy it again",
        (google, bytes_of("google/bert_model.ckpt.index", lambda data: b"damage" + data[6:])),
    ),
    Case(
        "something else under the name of such an index",
        ENCODE,
        CheckpointError,
        "google/bert_model.ckpt.index is no index of a TensorFlow checkpoint",
        "download or copy it again",
        (google, file("google/bert_model.ckpt.index", "text")),
    ),
    Case(
        "a TensorFlow checkpoint without its numbers",
        ENCODE,
        CheckpointError,
        "google/bert_model.ckpt.data-00000-of-00001 is missing",
        "download or copy the model again",
        (google, without("google/bert_model.ckpt.data-00000-of-00001")),
    ),
    Case(
        "a TensorFlow checkpoint without its index",
        ENCODE,
        CheckpointError,
        "whose index bert_model.ckpt.index is missing",
        "copy it too",
        (google, without("google/bert_model.ckpt.index")),
    ),
    Case(
        "several TensorFlow checkpoints in one folder",
        ENCODE,
        CheckpointError,
        "google holds several checkpoints (bert_model.ckpt, model.ckpt-2000)",
        "keep one, or name it in a file 'checkpoint'",
        (google, file("google/model.ckpt-2000.index", "")),
    ),
    Case(
        "a bert_config.json without a size",
        ENCODE,
        CheckpointError,
        "google: bert_config.json: 'hidden_size' must be a whole number",
        "correct it",
        (google, json_with("google/bert_config.json", hidden_size=None)),
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
]
