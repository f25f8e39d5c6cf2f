"""`convert`: a model folder of any format that is read here, written as one that everybody reads."""

import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.architectures import Architecture, HeadKind, read_description
from bertworks.architectures.parts import CONSTANTS, GENERATOR, OPTIMIZER_STATE
from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import open_tensors, read_json, write_json, write_tensors
from bertworks.checkpoints.hub import resolve
from bertworks.checkpoints.opening import open_file
from bertworks.checkpoints.sentence_layout import ENCODER_SETTINGS, MODULES, PREPARATION, has_layout
from bertworks.checkpoints.smoke import SMOKE
from bertworks.checkpoints.table import Table, normalized
from bertworks.estimators.model_folder import read_model, write_smoke_cases
from bertworks.estimators.stored_task import FEW_SHOT, SETTINGS, read_task
from bertworks.estimators.task_estimator import model_path
from bertworks.inference import load_model
from bertworks.inference.models import Storage, StoredDtype
from bertworks.tokenization import Tokenizer

_ABOUT_IT = ("README.md", "LICENSE*")
_TAKEN_OVER = (SETTINGS, "generation_config.json", *_ABOUT_IT)
"""Files that stand beside weights, description and tokenizer, and are copied as they are."""
_OF_CROSS_ENCODERS = (MODULES, PREPARATION, ENCODER_SETTINGS, "[0-9]_*/*")
"""The same of sentence-transformers' classifiers of pairs, which say there whether scores go through a sigmoid, for one."""
_TOKENIZER = "tokenizer_config.json"
_HABITS = ("model_max_length", "padding_side", "truncation_side")
"""What a tokenizer_config.json says about the use of a tokenizer, which its tokens do not depend on."""


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
    `transformers` has for them; second names of the same tensor, an optimizer's state, and the generator beside an ELECTRA of
    TensorFlow are not written. Where nothing says which heads a model has, as in folders of google-research/bert, the tensors
    do. A folder of sentence-transformers comes out as one, with its modules.

    Raises `CheckpointError` where the model cannot be read or does not fit its description, and where `output` exists,
    unless `replace`; `SettingsError` for an unknown `dtype`.
    """
    storage = Storage(dtype, max_shard_bytes)
    folder = model_path(resolve(model, revision=revision))
    if has_layout(folder):
        from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder

        encoder = SentenceEncoder.load(folder, device="cpu")
        encoder.save(output, dtype=dtype, max_shard_bytes=max_shard_bytes, replace=replace)
        _take_over(folder, Path(output), _ABOUT_IT)
        return _report(Path(output), encoder.loading_report_.lines())
    if (folder / FEW_SHOT).exists():
        from bertworks.estimators.embeddings.few_shot import ENCODER, FewShotClassifier

        classifier = FewShotClassifier.load(folder, device="cpu")
        classifier.save(output, dtype=dtype, max_shard_bytes=max_shard_bytes, replace=replace)
        return _report(Path(output), classifier.encoder_.loading_report_.lines(), weights=Path(output) / ENCODER)
    config, architecture, _ = read_description(folder)
    loaded = load_model(folder)  # which refuses what does not fit
    tokenizer = Tokenizer.load(folder)
    with atomic_folder(Path(output), replace=replace) as writing, open_tensors(folder) as files:
        names = normalized(list(files), prefix=architecture.prefix, is_body=architecture.is_body)
        useless = _useless(loaded.table, names)
        kept = {modern: files[name] for modern, name in names.items() if modern not in useless}
        tensors = _named_anew(architecture, kept, tied=config.get("tie_word_embeddings") is not False)
        write_tensors(writing / "model.safetensors", tensors, dtype=storage.dtype, max_shard_bytes=storage.max_shard_bytes)
        if not (folder / "config.json").exists() or not _are_names(config.get("architectures")):  # bert_config.json says nothing of heads
            config |= _class_and_labels(architecture, config, tensors)
        old = ("_name_or_path", "torch_dtype", "transformers_version")
        described = {**architecture.config(loaded.model.spec), **{key: value for key, value in config.items() if key not in old}}
        write_json(writing / "config.json", {**described, "dtype": storage.dtype})
        spec = loaded.model.spec
        tokenizer.save(writing, segments=spec.embedding.segments > 1, max_tokens=spec.max_tokens)
        _keep_habits(folder, writing)
        _take_over(folder, writing, (*_TAKEN_OVER, *_OF_CROSS_ENCODERS) if (folder / MODULES).exists() else _TAKEN_OVER)
        if (folder / SMOKE).exists():  # what it says is of the old files
            task, _ = read_task(writing)
            write_smoke_cases(writing, read_model(writing, task), tokenizer, task)
    left_out = [f"left out: {count} tensor{'s' * (count > 1)} ({why})" for why, count in Counter(useless.values()).items()]
    return _report(Path(output), [loaded.report.lines()[0], *left_out])


def _are_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _take_over(folder: Path, writing: Path, patterns: Sequence[str]) -> None:
    for path in (path for pattern in patterns for path in folder.glob(pattern) if not path.is_dir()):
        place = writing / path.relative_to(folder)
        place.parent.mkdir(exist_ok=True)
        with open_file(path) as stream, open(place, "wb") as copy:
            shutil.copyfileobj(stream, copy)


def _keep_habits(folder: Path, writing: Path) -> None:
    """Those of a tokenizer that was read in the one that was written: `transformers` cuts texts by them."""
    if (folder / _TOKENIZER).exists():
        told = read_json(folder / _TOKENIZER)
        habits = {key: told[key] for key in _HABITS if key in told}
        write_json(writing / _TOKENIZER, {**read_json(writing / _TOKENIZER), **habits})


def _report(folder: Path, notes: Sequence[str], weights: Path | None = None) -> ConvertReport:
    """What stands in a folder that was written, with its model in the folder `weights`, if not in itself."""
    config, architecture, _ = read_description(weights or folder)
    with open_tensors(weights or folder) as files:
        count = sum(prod(shape) for shape in files.shapes.values())
        size = sum(path.stat().st_size for path in files.paths)
        return ConvertReport(
            folder, architecture.name, tuple(config["architectures"]), len(files), count, config["dtype"], size, tuple(notes)
        )


def _useless(table: Table, names: Collection[str]) -> dict[str, str]:
    """Tensors that are no part of the model, with the reason. Beside ELECTRA's generator stands its head."""
    out = {name: why for name in names if (why := table.ignored(name)) in (OPTIMIZER_STATE, CONSTANTS, GENERATOR)}
    if GENERATOR in out.values():
        out |= dict.fromkeys((name for name in names if name.startswith("generator_predictions.")), GENERATOR)
    return out


def _named_anew(architecture: Architecture, tensors: Mapping[str, Array], *, tied: bool) -> dict[str, Array]:
    """Tensors under the names of today's `transformers`: a body has its prefix where a head stands beside it, and a tensor that is
    the same as another by the family's definition has no second name, unless config.json says that the two are not `tied`."""
    twins = {tie.theirs: tie.same_as for head in architecture.heads.values() for tie in head.table("").ties if tied}
    kept = {
        name: array
        for name, array in tensors.items()
        if not (name in twins and twins[name] in tensors and np.array_equal(array, tensors[twins[name]]))
    }
    has_heads = any(not architecture.is_body(name) for name in kept)
    return {architecture.prefix + name if has_heads and architecture.is_body(name) else name: array for name, array in kept.items()}


def _class_and_labels(architecture: Architecture, config: Mapping[str, Any], tensors: Mapping[str, Array]) -> dict[str, Any]:
    """What config.json is to say of heads, by the tensors that are there: the class of `transformers`, and a classifier's labels.

    Tensors of classifiers are named alike for several tasks. Where the weights hold a pooler, they are of a task that reads it;
    of those that are left the family's first, which is the classification of texts.
    """
    matrices = {name.removeprefix(architecture.prefix) for name in tensors if not name.endswith("bias")}
    has_pooler = any(name.startswith("pooler.") for name in matrices)
    found: dict[frozenset[str], HeadKind] = {}
    for kind, head in sorted(architecture.heads.items(), key=lambda item: item[1].needs_pooler != has_pooler):
        wanted = frozenset(name for entry in head.table("").entries for name in entry.theirs if not name.endswith("bias"))
        if wanted and wanted <= matrices and (has_pooler or not head.needs_pooler):
            found.setdefault(wanted, kind)
    kinds = [kind for wanted, kind in found.items() if not any(wanted < other for other in found)]
    told: dict[str, Any] = {"architectures": [architecture.class_name(kinds)]}
    if kinds in (["sequence_classification"], ["token_classification"]) and not config.keys() & {"id2label", "num_labels"}:
        (output,) = (entry.theirs[0] for entry in architecture.heads[kinds[0]].table("").entries if entry.ours == ("output.weight",))
        names = [f"LABEL_{number}" for number in range(len(tensors[output]))]
        told |= {"id2label": {str(i): name for i, name in enumerate(names)}, "label2id": {name: i for i, name in enumerate(names)}}
    return told
