"""Model folders: where a description, a weight table and an `nn` model meet."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Int

from bertworks.architectures import Architecture, HeadKind, architecture_of, naming, read_description
from bertworks.batch import Array
from bertworks.checkpoints.files import open_tensors, write_json, write_tensors
from bertworks.checkpoints.loading import LoadingReport, load_through
from bertworks.checkpoints.table import Table, normalized
from bertworks.errors import CheckpointError, SettingsError, nearest
from bertworks.nn.model import AnyHeadSpec, Model
from bertworks.spec import EncoderSpec, HeadSpec

Heads = Mapping[str, tuple[HeadKind, int]]
StoredDtype = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Storage:
    """How weights are written. Raises `SettingsError` for what is no way to write them."""

    dtype: StoredDtype = "float32"
    """What each number is rounded to; models compute in what they are told to, whatever their weights were stored as."""
    max_shard_bytes: int | None = None
    """A larger whole is written as several files with an index."""

    def __post_init__(self) -> None:
        if self.dtype not in get_args(StoredDtype):
            known = get_args(StoredDtype)
            raise SettingsError(f"dtype is one of {', '.join(known)}, not {self.dtype!r}.{nearest(str(self.dtype), known)}")
        most = self.max_shard_bytes
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
            raise SettingsError(f"max_shard_bytes is a whole number of bytes, at least 1, not {most!r:.60}")


FLOAT32 = Storage()
"""As they are computed with."""


@dataclass
class LoadedModel:
    """A model with what is needed to save it again."""

    model: Model
    architecture: Architecture
    config: dict[str, Any]
    heads: Heads
    report: LoadingReport

    @property
    def table(self) -> Table:
        own = dict(self.model.named_parameters())
        heads = (self.architecture.heads[kind].table(f"heads.{name}.").of(own) for name, (kind, _) in self.heads.items())
        return sum(heads, self.architecture.table(self.model.spec))


def load_model(
    folder: Path, heads: Heads | None = None, *, new_heads: bool = False, seed: int = 0, dropout: float | None = None
) -> LoadedModel:
    """Reads a Hugging Face model folder into a `Model` with the given heads.

    With `new_heads`, a head (and the pooler it needs) that the folder does not hold in that shape starts anew,
    drawn from `seed`; else it must be there. `dropout` is put over every dropout probability of config.json.

    Raises `CheckpointError` where config.json or the weights are missing, damaged or do not fit each other.
    """
    heads = dict(heads or {})
    config, architecture, spec = read_description(folder, dropout)
    with naming(folder):
        kinds = {name: architecture.head(kind) for name, (kind, _) in heads.items()}
    with open_tensors(folder) as files:
        _check_layers(folder, spec, len(files))
        names = normalized(list(files), prefix=architecture.prefix, is_body=architecture.is_body)
        needs_pooler = any(kind.needs_pooler for kind in kinds.values())
        if not needs_pooler and (heads or not any(name.startswith("pooler.") for name in names)):
            spec = replace(spec, pooler=None)
        with naming(folder):
            definitions = {name: kinds[name].spec(config, spec, outputs) for name, (_, outputs) in heads.items()}
        with torch.device("meta"):  # shapes without memory, until they are known to be those of the weights
            model = Model(spec, definitions)
        loaded = LoadedModel(model, architecture, config, heads, LoadingReport(str(folder), 0, 0))
        may_be_new = {"heads.": "a new head, expected for this task", "encoder.pooler.": "the folder has no pooler; expected"}
        arrays, loaded.report = load_through(
            loaded.table,
            names,
            files.shapes,
            files.read,
            {name: tuple(p.shape) for name, p in model.named_parameters()},
            source=str(folder),
            may_be_new=may_be_new if new_heads else {},
        )
    for name, parameter in model.to_empty(device="cpu").named_parameters():
        if name in arrays:
            np.copyto(parameter.detach().numpy(), arrays[name])  # from the file's pages, without a copy between
    model.initialize(seed, only=set(dict(model.named_parameters())) - set(arrays))
    return loaded


def new_model(config: Mapping[str, Any], heads: Heads, *, seed: int = 0) -> LoadedModel:
    """A model that starts from nothing: described by a `config.json`, its weights drawn from `seed`.

    Raises `CheckpointError` where the configuration describes no model, or the family lacks a head.
    """
    whole = dict(config)
    architecture = architecture_of(whole, "the model's configuration")
    spec = architecture.encoder(whole)
    whole = {**architecture.config(spec), **whole}
    kinds = {name: architecture.head(kind) for name, (kind, _) in heads.items()}
    if not any(kind.needs_pooler for kind in kinds.values()):
        spec = replace(spec, pooler=None)
    model = Model(spec, {name: kinds[name].spec(whole, spec, outputs) for name, (_, outputs) in heads.items()})
    model.initialize(seed)
    return LoadedModel(model, architecture, whole, dict(heads), LoadingReport("(new)", 0, 0))


def _check_layers(folder: Path, spec: EncoderSpec, tensors: int) -> None:
    """Raises `CheckpointError`, before a model is built, where config.json describes far more layers than there are weights for."""
    layers = len({layer.weights for layer in spec.layers})
    if layers > tensors:
        what = f"config.json describes {layers:,} layers, but the weights hold {tensors:,} tensors"
        raise CheckpointError(f"{folder}: {what}: they are of different models; copy or download the model again")


def save_model(folder: Path, loaded: LoadedModel, *, config_changes: Mapping[str, Any] | None = None, storage: Storage = FLOAT32) -> None:
    """Writes `config.json` and `model.safetensors` in Hugging Face's layout; `transformers` loads the folder."""
    kinds = [kind for kind, _ in loaded.heads.values()]
    class_name = loaded.architecture.class_name(kinds)
    config = {k: v for k, v in loaded.config.items() if k not in ("_name_or_path", "torch_dtype", "transformers_version", "num_labels")}
    config |= {"architectures": [class_name], "dtype": storage.dtype, **(config_changes or {})}
    if any(head.spec.tied for _, head in loaded.model.head_items()):
        config["tie_word_embeddings"] = True  # whatever it said before: the files hold no decoder beside the embedding
    body = set(
        loaded.architecture.table(loaded.model.spec).save({k: v for k, v in loaded.model.arrays().items() if k.startswith("encoder.")})
    )
    prefix = loaded.architecture.prefix if kinds else ""
    tensors = {(prefix + name if name in body else name): values for name, values in loaded.table.save(loaded.model.arrays()).items()}
    write_tensors(folder / "model.safetensors", tensors, dtype=storage.dtype, max_shard_bytes=storage.max_shard_bytes)
    write_json(folder / "config.json", config)


def without_heads(loaded: LoadedModel, names: Collection[str]) -> LoadedModel:
    """The same model without some of its heads; its other weights are shared, not copied."""
    heads = {name: kind for name, kind in loaded.heads.items() if name not in names}
    with torch.device("meta"):
        model = Model(loaded.model.spec, {name: head.spec for name, head in loaded.model.head_items() if name in heads})
    kept = dict(loaded.model.named_parameters())
    model.load_state_dict({name: kept[name] for name, _ in model.named_parameters()}, assign=True)
    return replace(loaded, model=model.compute_in(loaded.model.encoder.compute_dtype), heads=heads)


def fold_output_scale(model: Model, head: str, scale: float, center: float) -> float:
    """Changes a head's projection so that it gives `scale · y + center` where it gave y (a number's own unit); returns what
    is still to be added: `center` where the head has no bias (GPT-2), else 0."""
    arrays = model.arrays()
    weight, bias = f"heads.{head}.output.weight", f"heads.{head}.output.bias"
    changed = {weight: arrays[weight] * np.float32(scale)}
    if bias in arrays:
        changed[bias] = arrays[bias] * np.float32(scale) + np.float32(center)
    model.set_arrays(changed)
    return 0.0 if bias in arrays else center


def resize_vocabulary(loaded: LoadedModel, size: int) -> None:
    """Gives the token embedding `size` rows. New rows start as the mean of the old ones, so that a new token means
    nothing in particular yet (Hewitt 2021); rows beyond `size` are dropped.
    """
    model, old = loaded.model, loaded.model.spec.embedding.vocabulary
    if size == old:
        return
    spec = replace(model.spec, embedding=replace(model.spec.embedding, vocabulary=size))
    tied: dict[str, AnyHeadSpec] = {name: head.spec for name, head in model.head_items()}
    tied |= {name: replace(head, outputs=size) for name, head in tied.items() if isinstance(head, HeadSpec) and head.tied}
    arrays = model.arrays()
    loaded.model = Model(spec, tied).to(model.encoder.embeddings.token.weight.device).compute_in(model.encoder.compute_dtype)
    loaded.heads = {name: (kind, size if tied[name].tied else outputs) for name, (kind, outputs) in loaded.heads.items()}
    wanted = {name: tuple(p.shape) for name, p in loaded.model.named_parameters()}
    for name, values in arrays.items():
        if values.shape != wanted[name]:
            mean = np.broadcast_to(values.mean(axis=0), (max(0, size - old), *values.shape[1:]))
            arrays[name] = np.concatenate([values[:size], mean.astype(values.dtype)])
    loaded.model.set_arrays(arrays)
    loaded.config["vocab_size"] = size


def begin_with_frequencies(loaded: LoadedModel, head: str, counts: Int[Array, "outputs"]) -> None:
    """Lets a head begin with the logarithm of each output's frequency as its bias (Meister et al. 2023, "A Natural Bias for
    Language Generation Models"): the first steps are not spent on which tokens are frequent. `counts` says how often each occurs;
    one is added to all, so that what never occurred stays possible.

    Raises `SettingsError` where the head's outputs have no bias.
    """
    own = dict(loaded.model.named_parameters())
    name = next((name for name in (f"heads.{head}.bias", f"heads.{head}.output.bias") if name in own), None)
    if name is None:
        family = loaded.model.spec.architecture
        raise SettingsError(f"the scores of {head} have no bias in the family {family}, so they cannot begin with frequencies")
    smoothed = counts + 1.0
    loaded.model.set_arrays({name: np.log(smoothed / smoothed.sum()).astype(np.float32)})


def repeat_positions(loaded: LoadedModel, learnt: int) -> None:
    """Lets the positions after the first `learnt` begin as copies of these, in turn (Beltagy et al. 2020, section 5): a model that
    was trained on short texts then starts to learn long ones from what it knows of neighbourhoods. Position 0, where only the
    first token of a text stands, is not repeated.

    Raises `SettingsError` where the model has no learnt positions, or not so many.
    """
    embedding = loaded.model.spec.embedding
    if embedding.positions != "learnt":
        raise SettingsError(f"a model of the family {loaded.model.spec.architecture} learns no positions: there are none to repeat")
    if not 2 <= learnt <= embedding.max_tokens:
        raise SettingsError(f"learnt_positions must lie between 2 and the model's {embedding.max_tokens:,} positions, not {learnt:,}")
    name = "encoder.embeddings.position.weight"
    table = loaded.model.arrays()[name]
    positions = np.arange(learnt, embedding.max_tokens)
    repeated = table.copy()
    repeated[positions + embedding.position_offset] = table[(positions - 1) % (learnt - 1) + 1 + embedding.position_offset]
    loaded.model.set_arrays({name: repeated})
