"""Model folders: weights, descriptions, settings, each alone and in a whole folder that is loaded and asked."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.checkpoints import tensor_bundles
from tests.conftest import write_tiny_bert
from tests.fuzz.mutations import mutate_json, mutate_safetensors
from tests.fuzz.target import Target, home, only_deliberate_errors, scratch, shared

TENSORFLOW = Path(__file__).parents[1] / "checkpoints" / "tensorflow"


@shared
def _bert() -> Path:
    return write_tiny_bert(home() / "bert", hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12)


@shared
def _model() -> Path:
    """A finished classifier's folder."""
    from bertworks.estimators import model_folder
    from bertworks.inference import load_model
    from bertworks.tasks.text_classification import TextClassification
    from bertworks.tokenization import Tokenizer

    task = TextClassification("multi", ("bad", "good"), max_tokens=20, thresholds=(0.25, 0.5))
    folder = home() / "model"
    loaded = load_model(_bert(), task.heads, new_heads=True)
    model_folder.save(folder, loaded, Tokenizer.load(_bert()), task, about={"rows": 3}, replace=False)
    return folder


def _model_with(name: str, data: bytes, folder: Path) -> Path:
    """The finished model's folder with one file changed."""
    for file in _model().iterdir():
        if file.name != name:
            (folder / file.name).hardlink_to(file)
    (folder / name).write_bytes(data)
    return folder


def _weights(data: bytes, folder: Path) -> None:
    from bertworks.checkpoints import open_tensors

    (folder / "model.safetensors").write_bytes(data)
    with only_deliberate_errors(), open_tensors(folder) as files, np.errstate(all="ignore"):
        for name in files:
            assert files[name].shape == files.shapes[name]
            files.read(name)


def _old_weights(data: bytes, folder: Path) -> None:
    from bertworks.checkpoints import open_tensors

    (folder / "pytorch_model.bin").write_bytes(data)
    with only_deliberate_errors(), open_tensors(folder) as files, np.errstate(all="ignore"):
        for name in files:
            files.read(name)


def _old_weights_seeds() -> list[bytes]:
    import torch

    with scratch() as folder:
        out = []
        for zipped in (True, False):
            state = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(3, dtype=torch.bfloat16), "c": torch.tensor(4)}
            torch.save(state, folder / "x", _use_new_zipfile_serialization=zipped)
            out.append((folder / "x").read_bytes())
        return out


def _tensorflow(data: bytes, folder: Path) -> None:
    """The index of a TensorFlow checkpoint, beside the numbers that belong to it."""
    from bertworks.checkpoints import open_tensors

    (folder / "bert_model.ckpt.index").write_bytes(data)
    numbers = "bert_model.ckpt.data-00000-of-00001"
    (folder / numbers).write_bytes((TENSORFLOW / numbers).read_bytes())
    with only_deliberate_errors(), open_tensors(folder) as files, np.errstate(all="ignore"):
        for name in files:
            assert files[name].shape == files.shapes[name]
            files.read(name)


def _tensorflow_block() -> bytes:
    """The one block of variables of that index: it ends with its trailer before the empty block of filters."""
    data = (TENSORFLOW / "bert_model.ckpt.index").read_bytes()
    return data[: data.index(b"\0\0\0\0\1\0\0\0\0\xc0\xf2\xa1\xb0") - 5]


def _index(data: bytes, folder: Path) -> None:
    from bertworks.checkpoints import open_tensors, write_tensors

    write_tensors(folder / "model.safetensors", {"a": np.zeros(2), "b": np.ones(2)}, max_shard_bytes=16)
    (folder / "model.safetensors.index.json").write_bytes(data)
    with only_deliberate_errors(), open_tensors(folder) as files:
        for name in files:
            files.read(name)


def _folder_file(name: str, change: Callable[[bytes], bytes] = lambda data: data) -> Target:
    """A whole model loaded, verified and asked, one of its files changed."""

    def run(data: bytes, folder: Path) -> None:
        import bertworks

        _model_with(name, change(data), folder)
        with only_deliberate_errors():
            model = bertworks.load(folder, device="cpu", precision="float32")
            model.predict_with_accounting(["good " * 9, "", "a bad film"])
        with only_deliberate_errors():
            bertworks.load(folder, device="cpu", precision="float32", verify=True)

    mutate = mutate_safetensors if name.endswith(".safetensors") else mutate_json
    return Target(lambda: [(_model() / name).read_bytes()], run, mutate)


def _as_transformers(data: bytes, folder: Path) -> None:
    """config.json alone says what the task is."""
    import bertworks

    _model_with("config.json", data, folder)
    (folder / "bertworks.json").unlink()
    with only_deliberate_errors():
        bertworks.load(folder, device="cpu", precision="float32").predict(["good"])


def _config_seeds() -> list[bytes]:
    config = json.loads((_model() / "config.json").read_bytes())
    return [json.dumps(c).encode() for c in (config, {**config, "num_labels": 2, "id2label": None, "problem_type": None})]


def _description(data: bytes, folder: Path) -> None:
    """config.json for a model that is to be trained."""
    from bertworks.inference import load_model

    (folder / "config.json").write_bytes(data)
    (folder / "model.safetensors").hardlink_to(_bert() / "model.safetensors")
    with only_deliberate_errors():
        load_model(folder, {"labels": ("sequence_classification", 3)}, new_heads=True)


MODELS: dict[str, Target] = {
    "safetensors": Target(lambda: [(_bert() / "model.safetensors").read_bytes()], _weights, mutate_safetensors),
    "pytorch-bin": Target(_old_weights_seeds, _old_weights),
    "tensorflow-index": Target(lambda: [(TENSORFLOW / "bert_model.ckpt.index").read_bytes()], _tensorflow),
    "tensorflow-block": Target(lambda: [_tensorflow_block()], lambda data, folder: _tensorflow(tensor_bundles.sealed(data), folder)),
    "shard-index": Target(
        lambda: [
            b'{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}',
        ],
        _index,
        mutate_json,
    ),
    "config": Target(_config_seeds, _description, mutate_json),
    "config-of-transformers": Target(_config_seeds, _as_transformers, mutate_json),
    "model-config": _folder_file("config.json"),
    "model-settings": _folder_file("bertworks.json"),
    "model-smoke": _folder_file("smoke.json"),
    "model-weights": _folder_file("model.safetensors"),
}
