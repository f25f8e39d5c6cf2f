"""Models that give one vector for each sequence: an encoder from its folder, and what follows it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bertworks.checkpoints.sentence_layout import SentenceLayout
from bertworks.checkpoints.sentence_modules import read_arrays, write_layout
from bertworks.errors import CheckpointError
from bertworks.inference.models import FLOAT32, LoadedModel, Storage, load_model, save_model, without_heads
from bertworks.nn.encoder import Pooler
from bertworks.nn.model import Model
from bertworks.nn.vectors import stage_problem
from bertworks.spec import PoolerSpec, VectorSpec


def load_vector_model(
    folder: Path, head: str, layout: SentenceLayout, *, dropout: float | None = None, seed: int = 0, new: bool = False
) -> LoadedModel:
    """An encoder and the modules that follow it, which are read from their folders; those without one or, where `new`, all are drawn
    from `seed`.

    Raises `CheckpointError` where the modules do not fit the encoder.
    """
    loaded = load_model(folder, {}, dropout=dropout)
    spec = loaded.model.spec
    problem = stage_problem(layout.spec, spec.hidden)
    if layout.widths and layout.widths != (spec.hidden,):
        problem = f"the pooling takes {layout.widths[0]} features, but the encoder gives {spec.hidden}"
    if layout.layers is not None and layout.layers != len(spec.layers):
        problem = f"layers are weighed of an encoder with {layout.layers}, but it has {len(spec.layers)}"
    if problem:
        raise CheckpointError(f"{folder}: {problem}: the modules are of another model, copy or download it again")
    model = _like(loaded.model, Model(spec, {head: layout.spec}))
    arrays = {} if new else read_arrays(folder, layout, f"heads.{head}.")
    fresh = {name for name, _ in model.named_parameters() if name.startswith("heads.") and name not in arrays}
    model.initialize(seed, only={name for name in fresh if not name.endswith("layer_weights")})  # layers count alike at first
    model.set_arrays(arrays)
    return replace(loaded, model=model)


def take_pooler(loaded: LoadedModel) -> Pooler | None:
    """Takes the encoder's own pooler away, which no vector needs, and which would get no gradients in training; returns it."""
    model, spec = loaded.model, loaded.model.spec
    if spec.pooler is None:
        return None
    heads = {name: head.spec for name, head in model.head_items()}
    loaded.model = _like(model, Model(replace(spec, pooler=None), heads))
    return model.encoder.pooler


def give_pooler(loaded: LoadedModel, pooler: Pooler | None, spec: PoolerSpec | None) -> None:
    """Gives an encoder its pooler back, so that other tools find in its folder what they expect."""
    if pooler is None:
        return
    model = loaded.model
    heads = {name: head.spec for name, head in model.head_items()}
    whole = Model(replace(model.spec, pooler=spec), heads)
    whole.encoder.pooler = pooler.to(model.encoder.embeddings.token.weight.device)
    loaded.model = _like(model, whole)


def _like(model: Model, other: Model) -> Model:
    """The `other` with the parameters that it has in common with `model`: shared, not copied."""
    own = dict(model.named_parameters())
    shared = {name: own[name] for name, _ in other.named_parameters() if name in own}
    other.load_state_dict(shared, strict=False, assign=True)
    return other.compute_in(model.encoder.compute_dtype)


def save_vector_model(folder: Path, loaded: LoadedModel, head: str, layout: SentenceLayout, storage: Storage = FLOAT32) -> None:
    """Writes the encoder and the modules that follow it, which stay float32, in sentence-transformers' layout."""
    spec, prefix = loaded.model.spec, f"heads.{head}."
    vectors = dict(loaded.model.head_items())[head].spec
    assert isinstance(vectors, VectorSpec)
    layers = {"output_hidden_states": True} if vectors.layers_from is not None else {}
    save_model(folder, without_heads(loaded, {head}), config_changes=layers, storage=storage)
    own = {name.removeprefix(prefix): np.ascontiguousarray(a) for name, a in loaded.model.arrays().items() if name.startswith(prefix)}
    write_layout(folder, replace(layout, spec=vectors), spec.hidden, len(spec.layers), own)
