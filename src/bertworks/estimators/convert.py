"""`convert`: a model folder of any format that is read here, written as one that everybody reads."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.architectures import Architecture, HeadKind, read_description
from bertworks.architectures.parts import CONSTANTS, OPTIMIZER_STATE
from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import open_tensors, write_json, write_tensors
from bertworks.checkpoints.hub import resolve
from bertworks.checkpoints.opening import open_file
from bertworks.checkpoints.sentence_layout import has_layout
from bertworks.checkpoints.smoke import SMOKE
from bertworks.checkpoints.table import normalized
from bertworks.estimators.model_folder import read_model, write_smoke_cases
from bertworks.estimators.stored_task import SETTINGS, read_task
from bertworks.estimators.task_estimator import model_path
from bertworks.inference import load_model
from bertworks.inference.models import Storage, StoredDtype
from bertworks.tokenization import Tokenizer

_TAKEN_OVER = (SETTINGS, "generation_config.json", "README.md", "LICENSE*")
"""Files that stand beside weights, description and tokenizer, and are copied as they are."""


@dataclass(frozen=True)
class ConvertReport:
    """What a conversion wrote."""

    folder: Path
    architecture: str
    classes: tuple[str, ...]
    """What `architectures` in config.json says."""
    tensors: int
    parameters: int
    dtype: str
    bytes: int
    """Of the weights' files."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {**asdict(self), "folder": str(self.folder)}


def convert(
    model: str | Path,
    output: str | Path,
    *,
    revision: str | None = None,
    dtype: StoredDtype = "float32",
    max_shard_bytes: int | None = None,
    replace: bool = False,
) -> ConvertReport:
    """Writes a model folder, run folder or hub model anew, with safetensors, a whole config.json and tokenizer.json.

    Every tensor of the model is kept, those of heads that no task here uses among them, under the names that today's
    `transformers` has for them; second names of the same tensor and an optimizer's state are not written. A folder of
    sentence-transformers comes out as one, with its modules.

    Raises `CheckpointError` where the model cannot be read or does not fit its description, and where `output` exists,
    unless `replace`; `SettingsError` for an unknown `dtype`.
    """
    storage = Storage(dtype, max_shard_bytes)
    folder = model_path(resolve(model, revision=revision))
    if has_layout(folder):
        from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder

        encoder = SentenceEncoder.load(folder, device="cpu")
        encoder.save(output, dtype=dtype, max_shard_bytes=max_shard_bytes, replace=replace)
        return _report(Path(output), encoder.loading_report_.lines())
    config, architecture, _ = read_description(folder)
    loaded = load_model(folder)  # which refuses what does not fit
    tokenizer = Tokenizer.load(folder)
    with atomic_folder(Path(output), replace=replace) as writing, open_tensors(folder) as files:
        names = normalized(list(files), prefix=architecture.prefix, is_body=architecture.is_body)
        useless = {name: why for name in names if (why := loaded.table.ignored(name)) in (OPTIMIZER_STATE, CONSTANTS)}
        tensors = _named_anew(architecture, {modern: files[name] for modern, name in names.items() if modern not in useless})
        write_tensors(writing / "model.safetensors", tensors, dtype=storage.dtype, max_shard_bytes=storage.max_shard_bytes)
        classes = config.get("architectures") or [_class_name(architecture, tensors)]
        old = ("_name_or_path", "torch_dtype", "transformers_version")
        described = {**architecture.config(loaded.model.spec), **{key: value for key, value in config.items() if key not in old}}
        write_json(writing / "config.json", {**described, "architectures": classes, "dtype": storage.dtype})
        tokenizer.save(writing, segments=loaded.model.spec.embedding.segments > 1)
        for path in (path for pattern in _TAKEN_OVER for path in folder.glob(pattern)):
            with open_file(path) as stream, open(writing / path.name, "wb") as copy:
                shutil.copyfileobj(stream, copy)
        if (folder / SMOKE).exists():  # what it says is of the old files
            task, _ = read_task(writing)
            write_smoke_cases(writing, read_model(writing, task), tokenizer, task)
    left_out = [f"left out: {count} tensors ({why})" for why, count in Counter(useless.values()).items()]
    return _report(Path(output), [loaded.report.lines()[0], *left_out])


def _report(folder: Path, notes: Sequence[str]) -> ConvertReport:
    """What stands in a folder that was written."""
    config, architecture, _ = read_description(folder)
    with open_tensors(folder) as files:
        count = sum(prod(shape) for shape in files.shapes.values())
        size = sum(path.stat().st_size for path in files.paths)
        return ConvertReport(
            folder, architecture.name, tuple(config["architectures"]), len(files), count, config["dtype"], size, tuple(notes)
        )


def _named_anew(architecture: Architecture, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Tensors under the names of today's `transformers`: a body has its prefix where a head stands beside it, and a tensor that is
    the same as another by the family's definition has no second name."""
    twins = {tie.theirs: tie.same_as for head in architecture.heads.values() for tie in head.table("").ties}
    kept = {
        name: array
        for name, array in tensors.items()
        if not (name in twins and twins[name] in tensors and np.array_equal(array, tensors[twins[name]]))
    }
    has_heads = any(not architecture.is_body(name) for name in kept)
    return {architecture.prefix + name if has_heads and architecture.is_body(name) else name: array for name, array in kept.items()}


def _class_name(architecture: Architecture, names: Mapping[str, Array]) -> str:
    """The class of `transformers` that has the heads whose tensors are all there."""
    found: list[HeadKind] = []
    for kind, head in architecture.heads.items():
        wanted = [name for entry in head.table("").entries for name in entry.theirs]
        if wanted and all(name in names for name in wanted):
            found.append(kind)
    return architecture.class_name(found)
