"""The tensors and the JSON files of a model folder.

Weights are looked for in the order in which `transformers` looks for them: `model.safetensors`, then the shards
that `model.safetensors.index.json` lists, then the same in PyTorch's older format; at last for a TensorFlow checkpoint of
google-research/bert.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np

from bertworks.checkpoints.atomic import atomic_file
from bertworks.checkpoints.dtypes import CODES, FLOATING, STORED, Array, convert
from bertworks.checkpoints.json_files import read_json as read_json
from bertworks.checkpoints.json_files import write_json as write_json
from bertworks.checkpoints.opening import kind_of_file
from bertworks.checkpoints.safetensors_file import SafetensorsFile, write_safetensors
from bertworks.checkpoints.tensorflow import TensorFlowFile, checkpoint_in
from bertworks.errors import CheckpointError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""What holds the weights of a model folder, in the order of preference."""
_OTHER_FORMATS = {".h5": "Keras's", ".msgpack": "Flax's", ".onnx": "ONNX's"}
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib")


class _Source(Protocol):
    """One file of tensors."""

    path: Path
    kinds: dict[str, str]
    shapes: dict[str, tuple[int, ...]]

    def array(self, name: str) -> Array: ...

    def close(self) -> None: ...


class _BinFile:
    """A file in PyTorch's older format, as a source of tensors."""

    def __init__(self, path: Path) -> None:
        from bertworks.checkpoints.legacy import read_bin

        self.path = path
        self._arrays = read_bin(path)
        self.kinds = {name: array.dtype.name for name, array in self._arrays.items()}
        self.shapes = {name: array.shape for name, array in self._arrays.items()}

    def array(self, name: str) -> Array:
        if not self._arrays and self.kinds:
            raise CheckpointError(f"{self.path} was closed before tensor '{name}' was read")
        return self._arrays[name]

    def close(self) -> None:
        self._arrays = {}


class TensorFiles(Mapping[str, Array]):
    """All tensors of a model, by name: lazy, read-only, memory-mapped.

    `files[name]` is the tensor as it is stored, except that bfloat16 is widened to float32, exactly. Arrays are
    read-only and stay valid after `close`. May be used as a context manager.
    """

    def __init__(self, sources: list[_Source], order: Mapping[str, _Source]) -> None:
        self._sources = sources
        self._home = order
        self._kinds = {name: source.kinds[name] for name, source in order.items()}
        self._shapes = {name: source.shapes[name] for name, source in order.items()}

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Kind of number as stored: "float32", "bfloat16", "int64" … (a bfloat16 in a `.bin` file reads "float32")."""
        return MappingProxyType(self._kinds)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return MappingProxyType(self._shapes)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that hold the tensors."""
        return tuple(source.path for source in self._sources)

    def __getitem__(self, name: str) -> Array:
        return self._home[name].array(name)

    def read(self, name: str, dtype: Any = np.float32) -> Array:
        """The tensor `name` with its floating-point numbers as `dtype`; whole numbers and truth values stay as stored.

        Where nothing is to be converted the result is a read-only view. Raises `KeyError` for an unknown name and
        `CheckpointError` where a finite value would become infinite in `dtype`.
        """
        array = self[name]
        return convert(name, array, np.dtype(dtype).name) if self._kinds[name] in FLOATING else array

    def __iter__(self) -> Iterator[str]:
        return iter(self._home)

    def __len__(self) -> int:
        return len(self._home)

    def __contains__(self, name: object) -> bool:  # Mapping's would read the tensor
        return name in self._home

    def __repr__(self) -> str:
        return f"TensorFiles({len(self)} tensors in {', '.join(str(path) for path in self.paths)})"

    def close(self) -> None:
        """Let go of the files (on Windows a file in use cannot be replaced); arrays handed out stay valid."""
        for source in self._sources:
            source.close()

    def __enter__(self) -> "TensorFiles":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_tensors(folder: Path) -> TensorFiles:
    """Open the weights of a model folder, or one `.safetensors` file, without reading the numbers.

    Raises `CheckpointError` when there are no weights, and when a file is missing, cut short, damaged, or
    disagrees with its index; the message names the file and what to do.
    """
    folder = Path(folder)
    kind = kind_of_file(folder) if folder.exists() else "missing"
    if kind is None and folder.suffix == ".safetensors":
        return _together([SafetensorsFile(folder)])
    if kind != "a folder":
        raise CheckpointError(f"{folder} is {kind or 'a file, not a model folder'}: name a model folder")
    for name in WEIGHTS:
        path = folder / name
        if os.path.lexists(path):
            if name.endswith(".json"):
                return _open_shards(path)
            return _together([_open(path)])
    checkpoint = checkpoint_in(folder)
    if checkpoint is not None:
        return _together([TensorFlowFile(checkpoint)])
    raise CheckpointError(_no_weights(folder))


def _open(path: Path) -> _Source:
    return SafetensorsFile(path) if path.suffix == ".safetensors" else _BinFile(path)


def _together(sources: list[_Source]) -> TensorFiles:
    return TensorFiles(sources, {name: source for source in sources for name in source.kinds})


def _no_weights(folder: Path) -> str:
    names = sorted(os.listdir(folder))
    there = ", ".join(name[:60] for name in names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "nothing"
    message = f"no weights in {folder}: looked for {', '.join(WEIGHTS)}, *.ckpt.index; found {there}"
    numbers = next((name for name in names if re.search(r"\.data-\d{5}-of-\d{5}$", name)), None)
    if numbers is not None:
        index = f"{numbers.rpartition('.data-')[0]}.index"
        return f"{message}. {numbers} is a part of a TensorFlow checkpoint, whose index {index} is missing: copy it too"
    others = [(name, _OTHER_FORMATS[Path(name).suffix]) for name in names if Path(name).suffix in _OTHER_FORMATS]
    if others:
        return f"{message}. {others[0][0]} has {others[0][1]} format, which bertworks does not read: convert it to model.safetensors"
    pickles = [name for name in names if Path(name).suffix in _PICKLES]
    if pickles:
        what = f"{pickles[0]} is a pickle, which can run any program, so bertworks does not open it"
        return f"{message}. {what}: if you trust it, save the weights as model.safetensors with the program that made it"
    loose = [name for name in names if name.endswith(".safetensors")]
    if loose:
        return f"{message}. If {loose[0]} is the whole model, rename it to model.safetensors; of a sharded one the index is missing"
    return f"{message}. Download or copy the model again"


def _open_shards(index: Path) -> TensorFiles:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(file, str) for file in weight_map.values()):
        raise CheckpointError(f"{index} has no table 'weight_map' of tensor names and file names: download or copy it again")
    suffix = ".safetensors" if index.name.endswith(".safetensors.index.json") else ".bin"
    for file in sorted(set(weight_map.values())):
        plain = PurePosixPath(file).name == file == PureWindowsPath(file).name and file.endswith(suffix) and "\0" not in file
        if not plain:
            what = f"which is not a plain *{suffix} name in its own folder"
            raise CheckpointError(f"{index} names the file '{file:.100}', {what}: refused; take the model from a source that you trust")
    missing = sorted(file for file in set(weight_map.values()) if not os.path.lexists(index.parent / file))
    if missing:
        names = ", ".join(name[:100] for name in missing[:5])
        raise CheckpointError(f"{index.parent} lacks {names}, listed in {index.name}: download or copy the model again")
    opened: dict[str, _Source] = {}
    try:
        for file in sorted(set(weight_map.values())):
            opened[file] = _open(index.parent / file)
            promised = {name for name, home in weight_map.items() if home == file}
            _compare(index, file, promised, set(opened[file].kinds))
    except BaseException:
        for source in opened.values():
            source.close()
        raise
    return TensorFiles(list(opened.values()), {name: opened[file] for name, file in weight_map.items()})


def _compare(index: Path, file: str, promised: set[str], present: set[str]) -> None:
    if promised != present:
        absent, extra = sorted(promised - present), sorted(present - promised)
        what = f"lacks tensor '{absent[0]:.100}'" if absent else f"holds tensor '{extra[0]:.100}', unlisted for it"
        more = f" (and {len(absent) + len(extra) - 1} more differences)" if len(absent) + len(extra) > 1 else ""
        raise CheckpointError(f"{index.parent / file} {what} in {index.name}{more}: they are of different saves, copy the model again")


def write_tensors(
    path: Path,
    tensors: Mapping[str, Array],
    *,
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
    metadata: Mapping[str, str] | None = None,
    max_shard_bytes: int | None = None,
) -> None:
    """Write `tensors` to the safetensors file `path`, atomically; equal input gives equal bytes.

    `dtype` is what floating-point tensors are stored as (None: as they are; bfloat16 by rounding to nearest even,
    float64 by way of float32); whole numbers and truth values stay as they are. `metadata` defaults to
    {"format": "pt"}, by which `transformers` knows the file. With `max_shard_bytes`, a larger whole is written as
    shards beside `path` (`model-00001-of-00002.safetensors` …) with `model.safetensors.index.json`; a tensor
    larger than that stands in a shard of its own.

    What an earlier save of the same name left (other shards, an index, a single file) is removed at the end. Each
    file is atomic; a set of shards that overwrites another is not: write it into an `atomic_folder`.

    Raises `CheckpointError` for a kind of number that the format lacks, a value that `dtype` cannot hold, and
    whatever the disk refuses.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"cannot save {path}: the name of a weight file ends in .safetensors")
    metadata = {"format": "pt"} if metadata is None else metadata
    kinds = {name: _kind(name, array, dtype) for name, array in tensors.items()}
    sizes = {name: array.size * np.dtype(STORED[CODES[kinds[name]]][1]).itemsize for name, array in tensors.items()}
    groups = _shards(sizes, max_shard_bytes)
    index = path.with_name(f"{path.name}.index.json")
    files = [path.name]
    if len(groups) > 1:
        files = [f"{path.stem}-{number:05d}-of-{len(groups):05d}.safetensors" for number in range(1, len(groups) + 1)]
    for file, names in zip(files, groups, strict=True):
        with atomic_file(path.with_name(file), needed=sum(sizes[name] for name in names)) as stream:
            write_safetensors(stream, {name: tensors[name] for name in names}, kinds, metadata)
    if len(groups) > 1:
        totals = {"total_parameters": sum(array.size for array in tensors.values()), "total_size": sum(sizes.values())}
        homes = {name: file for file, names in zip(files, groups, strict=True) for name in names}
        write_json(index, {"metadata": totals, "weight_map": dict(sorted(homes.items()))})
        path.unlink(missing_ok=True)  # a single file goes before an index in reading: this is the moment of change
    else:
        index.unlink(missing_ok=True)
    stale = re.compile(rf"{re.escape(path.stem)}-\d{{5}}-of-\d{{5}}\.safetensors")
    for name in os.listdir(path.parent):
        if stale.fullmatch(name) and name not in files:
            path.with_name(name).unlink(missing_ok=True)


def _kind(name: str, array: Array, dtype: str | None) -> str:
    if not isinstance(name, str) or name == "__metadata__" or name.encode("utf-8", "ignore").decode() != name:
        raise CheckpointError(f"cannot save a tensor named {name!r}: the name must be text, and not '__metadata__'")
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.name not in CODES:
        what = array.dtype.name if isinstance(array, np.ndarray) else type(array).__name__
        raise CheckpointError(f"cannot save tensor '{name}' ({what}): a weight file holds arrays of {', '.join(CODES)}")
    return dtype if dtype is not None and array.dtype.name in FLOATING else array.dtype.name


def _shards(sizes: Mapping[str, int], limit: int | None) -> list[list[str]]:
    if limit is not None and limit < 1:
        raise CheckpointError(f"max_shard_bytes must be at least 1, not {limit}")
    groups: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if limit is not None and groups[-1] and filled + size > limit:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups
