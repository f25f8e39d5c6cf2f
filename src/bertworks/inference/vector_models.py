"""Models that give one vector for each sequence: an encoder from its folder, and what follows it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bertworks.batch import Array
from bertworks.checkpoints.sentence_layout import SentenceLayout, read_arrays, write_layout
from bertworks.errors import CheckpointError
from bertworks.inference.models import LoadedModel, load_model, save_model, without_heads
from bertworks.nn.model import Model
from bertworks.nn.vectors import stage_problem
from bertworks.spec import VectorSpec


def load_vector_model(
    folder: Path, head: str, layout: SentenceLayout, *, dropout: float | None = None, seed: int = 0, new: bool = False, pooler: bool = True
) -> LoadedModel:
    """An encoder and the modules that follow it, which are read from the folder or, `new`, drawn from `seed`. Without `pooler`,
    the encoder's own, which no vector needs, is left out: what is trained must get gradients.

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
    arrays = {} if new else read_arrays(folder, layout, f"heads.{head}.")
    return with_vectors(loaded, head, layout.spec, arrays, seed, pooler)


def with_vectors(
    loaded: LoadedModel, head: str, vectors: VectorSpec, arrays: Mapping[str, Array], seed: int, pooler: bool = True
) -> LoadedModel:
    """The same encoder (its weights shared, not copied) with a head for vectors; weights that `arrays` lacks start anew."""
    spec = loaded.model.spec if pooler else replace(loaded.model.spec, pooler=None)
    model = Model(spec, {head: vectors})
    kept = {name: parameter for name, parameter in loaded.model.named_parameters() if name.startswith("encoder.")}
    names = [name for name, _ in model.named_parameters() if name in kept]
    model.load_state_dict({name: kept[name] for name in names}, strict=False, assign=True)
    fresh = {name for name, _ in model.named_parameters() if name not in kept and name not in arrays}
    model.initialize(seed, only={name for name in fresh if not name.endswith("layer_weights")})  # layers count alike at first
    model.set_arrays(arrays)
    return replace(loaded, model=model.compute_in(loaded.model.encoder.compute_dtype))


def save_vector_model(folder: Path, loaded: LoadedModel, head: str, layout: SentenceLayout) -> None:
    """Writes the encoder and the modules that follow it in sentence-transformers' layout."""
    spec, prefix = loaded.model.spec, f"heads.{head}."
    vectors = dict(loaded.model.head_items())[head].spec
    assert isinstance(vectors, VectorSpec)
    layers = {"output_hidden_states": True} if vectors.layers_from is not None else {}
    save_model(folder, without_heads(loaded, {head}), config_changes=layers)
    own = {name.removeprefix(prefix): np.ascontiguousarray(a) for name, a in loaded.model.arrays().items() if name.startswith(prefix)}
    write_layout(folder, replace(layout, spec=vectors), spec.hidden, len(spec.layers), own)
