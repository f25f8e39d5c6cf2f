"""The modules of a folder in sentence-transformers' layout: their weights read, and all of them written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from bertworks.checkpoints.atomic import atomic_write
from bertworks.checkpoints.files import open_tensors, write_json, write_tensors
from bertworks.checkpoints.sentence_layout import (
    ACTIVATIONS,
    COPY,
    ENCODER_SETTINGS,
    MODULES,
    POOLING_KEYS,
    POOLINGS,
    PREPARATION,
    SentenceLayout,
)
from bertworks.errors import CheckpointError
from bertworks.spec import Activation, DenseStage, DropoutStage, NormStage, Stage, UnitStage

Arrays = Mapping[str, Any]


def read_arrays(folder: Path, layout: SentenceLayout, prefix: str) -> dict[str, Any]:
    """The weights of the modules under the names that they have in `nn.vectors.VectorHead`, after `prefix`; stages without a folder
    have none.

    Raises `CheckpointError` where a tensor is missing, too many, or of another shape than the module says.
    """
    out: dict[str, Any] = {}
    if layout.layers_folder is not None and layout.layers is not None and layout.spec.layers_from is not None:
        shapes = {"layer_weights": (layout.layers + 1 - layout.spec.layers_from,)}
        out |= {f"{prefix}layer_weights": _tensors(folder / layout.layers_folder, shapes)["layer_weights"]}
    for number, (stage, path) in enumerate(zip(layout.spec.stages, layout.folders, strict=True)):
        names = _names(stage)
        if names and path is not None:
            found = _tensors(folder / path, {theirs: shape for theirs, _, shape in names})
            out |= {f"{prefix}stages.{number}.{ours}": found[theirs] for theirs, ours, _ in names}
    return out


def _names(stage: Stage) -> list[tuple[str, str, tuple[int, ...]]]:
    """The weights of a stage: their name in the layout, ours, and the shape."""
    match stage:
        case DenseStage(inputs, outputs, _, bias, residual):
            names: list[tuple[str, str, tuple[int, ...]]] = [("linear.weight", "dense.weight", (outputs, inputs))]
            names += [("linear.bias", "dense.bias", (outputs,))] if bias else []
            return names + ([("residual.weight", "residual.weight", (outputs, inputs))] if residual and inputs != outputs else [])
        case NormStage(width):
            return [("norm.weight", "weight", (width,)), ("norm.bias", "bias", (width,))]
        case _:
            return []


def _tensors(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    with open_tensors(folder) as files:
        if dict(files.shapes) != dict(shapes):
            there = ", ".join(f"{name} {list(shape)}" for name, shape in list(files.shapes.items())[:6])
            wanted = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise CheckpointError(f"{folder}: its weights are {there or 'none'}, but its config.json wants {wanted}; {COPY}")
        return {name: np.array(files.read(name)) for name in shapes}


# ---- writing


@dataclass
class _Folder:
    """The modules of a folder that is being written."""

    home: Path
    modules: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, settings: Mapping[str, Any], tensors: Arrays | None = None) -> None:
        number = len(self.modules)
        path = "" if kind == "Transformer" else f"{number}_{kind}"
        self.modules.append({"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"})
        if path:
            (self.home / path).mkdir()
            write_json(self.home / path / "config.json", settings)
            if tensors:
                write_tensors(self.home / path / "model.safetensors", tensors)


def write_layout(folder: Path, layout: SentenceLayout, hidden: int, layers: int, arrays: Arrays) -> None:
    """Writes the modules into a folder that holds the encoder, in the form that every version of sentence-transformers reads.
    `arrays` are the weights of `VectorHead` by their names in it."""
    spec, writing = layout.spec, _Folder(folder)
    writing.add("Transformer", {})
    if spec.layers_from is not None:
        settings = {"word_embedding_dimension": hidden, "layer_start": spec.layers_from, "num_hidden_layers": layers}
        writing.add("WeightedLayerPooling", settings, {"layer_weights": arrays["layer_weights"]})
    chosen = {ours: theirs for theirs, ours in POOLINGS.items()}
    modes = {key: name in [chosen[pooling] for pooling in spec.pooling] for name, key in POOLING_KEYS.items()}
    in_order = tuple(p for p in POOLINGS.values() if p in spec.pooling) == spec.pooling
    names: dict[str, Any] = dict(modes) if in_order else {"pooling_mode": [chosen[pooling] for pooling in spec.pooling]}
    writing.add("Pooling", {"word_embedding_dimension": hidden, **names, "include_prompt": spec.pools_prompt})
    for number, stage in enumerate(spec.stages):
        tensors = {theirs: arrays[f"stages.{number}.{ours}"] for theirs, ours, _ in _names(stage)}
        writing.add(*_described(stage), tensors)
    text = json.dumps(writing.modules, indent=2) + "\n"
    atomic_write(folder / MODULES, text.encode())
    write_json(folder / ENCODER_SETTINGS, {"max_seq_length": layout.max_tokens, "do_lower_case": layout.lower_case})
    about = {"prompts": dict(layout.prompts), "default_prompt_name": layout.default_prompt, "similarity_fn_name": layout.similarity}
    write_json(folder / PREPARATION, about)


def _described(stage: Stage) -> tuple[str, dict[str, Any]]:
    match stage:
        case DenseStage(inputs, outputs, activation, bias, residual):
            names = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
            if activation not in names:
                raise CheckpointError(f"sentence-transformers' layout has no dense layer with {activation}: choose {', '.join(_usual())}")
            settings = {"in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": names[activation]}
            return "Dense", settings | ({"use_residual": True} if residual else {})
        case NormStage(width):
            return "LayerNorm", {"dimension": width}
        case DropoutStage(probability):
            return "Dropout", {"dropout": probability}
        case UnitStage():
            return "Normalize", {}


def _usual() -> list[str]:
    return [name for name in get_args(Activation) if name in ACTIVATIONS.values()]
