"""Checkpoints of google-research/bert and google-research/electra, as a source of tensors under the names of today.

Such a folder holds `bert_config.json`, `vocab.txt`, and `bert_model.ckpt.index` with `bert_model.ckpt.data-00000-of-00001`, or what a
training of one's own left: `model.ckpt-1000.index`, `model.ckpt-2000.index` …
"""

import os
import re
from pathlib import Path

from bertworks.checkpoints.dtypes import Array
from bertworks.checkpoints.opening import read_file
from bertworks.checkpoints.tensor_bundle import TensorBundle
from bertworks.errors import CheckpointError

_RULES = (
    (r"^output_(weights|bias)$", r"classifier/output_\1"),  # run_classifier.py
    (r"^cls/squad/", "qa_outputs/"),  # run_squad.py
    (r"^discriminator_predictions/dense_1/", "discriminator_predictions/dense_prediction/"),
    (r"/layer_(\d+)/", r"/layer/\1/"),
    (r"_embeddings$", "_embeddings/weight"),
    (r"/(kernel|gamma|output_weights)$", "/weight"),
    (r"/(beta|output_bias)$", "/bias"),
    (r"/", "."),
)
"""From TensorFlow's names to those of today, one after the other."""
_NEWEST = "checkpoint"
"""The file in which TensorFlow writes which checkpoint of a folder is the newest."""
_LARGEST_NEWEST = 1_000_000


def modern(name: str) -> str:
    """The name of today.

    >>> modern("bert/encoder/layer_0/attention/self/query/kernel"), modern("cls/predictions/output_bias")
    ('bert.encoder.layer.0.attention.self.query.weight', 'cls.predictions.bias')
    """
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name


class TensorFlowFile:
    """A checkpoint as a source of tensors: a `kernel`, [in, out], is given as its transpose, a view."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bundle = TensorBundle(path)
        self._theirs: dict[str, str] = {}
        for theirs in self._bundle.entries:
            other = self._theirs.setdefault(modern(theirs), theirs)
            if other != theirs:
                raise CheckpointError(f"{path} holds '{other:.100}' and '{theirs:.100}', which are the same tensor: keep one of them")
        self.kinds = {name: self._bundle.entries[theirs].kind for name, theirs in self._theirs.items()}
        shapes = {name: self._bundle.entries[theirs].shape for name, theirs in self._theirs.items()}
        self.shapes = {name: shape[::-1] if self._is_turned(name) else shape for name, shape in shapes.items()}

    def _is_turned(self, name: str) -> bool:
        return self._theirs[name].endswith("/kernel")

    def array(self, name: str) -> Array:
        array = self._bundle.array(self._theirs[name])
        return array.T if self._is_turned(name) else array

    def close(self) -> None:
        self._bundle.close()


def checkpoint_in(folder: Path) -> Path | None:
    """The index of the checkpoint in a folder; of several, the one that the file `checkpoint` names.

    Raises `CheckpointError` where it names none of them.
    """
    names = sorted(os.listdir(folder))
    stems = {name.rpartition(".data-")[0] for name in names}
    found = [name for name in names if name.endswith(".index") and (name.removesuffix(".index") in stems or ".ckpt" in name)]
    if len(found) < 2:
        return folder / found[0] if found else None
    newest = _newest(folder / _NEWEST) if _NEWEST in names else ""
    if f"{newest}.index" in found:
        return folder / f"{newest}.index"
    several = ", ".join(name.removesuffix(".index")[:100] for name in found[:5]) + (" …" if len(found) > 5 else "")
    example = f'model_checkpoint_path: "{found[-1].removesuffix(".index")[:100]}"'
    raise CheckpointError(f"{folder} holds several checkpoints ({several}): keep one, or name it in a file '{_NEWEST}': {example}")


def _newest(path: Path) -> str:
    """The name that a file `checkpoint` says, without the folders before it: the folder may have been moved."""
    text = read_file(path, _LARGEST_NEWEST).decode("utf-8", "replace")
    said = re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE)
    return re.split(r"[/\\]", said[1])[-1] if said else ""
