"""Folders as data sets: one folder a class, one file a split, or what `datasets` saved."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from bertworks.data.files import COMPRESSIONS, decode_text, read_bytes, split_suffixes
from bertworks.data.formats import read_file
from bertworks.data.hub import from_disk
from bertworks.data.loaded import Loaded, ReadOptions, Source
from bertworks.errors import DataError

_SPLITS = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev", "eval"), "test": ("test", "testing")}
_UNLABELLED = ("unsup", "unlabeled", "unlabelled")
"""Folders that hold texts without a class beside the classes of one split (as the movie reviews of Maas et al. 2011 have them)."""
_SHARD = re.compile(r"(.+)-\d+-of-\d+")
_TEXT_SUFFIXES = tuple(".txt" + compression for compression in ("", *COMPRESSIONS))


def open_folder(path: Path, options: ReadOptions) -> Source:
    """The source in a folder that holds one of

    - what `datasets` saved with `save_to_disk`;
    - files named after splits (train.csv, dev.tsv, test-00000-of-00002.parquet …), here or in `data/`;
    - folders named after splits, each with one folder a class (of one split also texts without a class, in `unsup`, which are
      left out);
    - one folder a class, with a `.txt` file a text. Columns: text, label (the folder's name), path (within the folder).
    """
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        return from_disk(path)
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    splits = _split_files(path, options) or _split_files(path / "data", options) or _split_folders(folders, options)
    if splits:
        return Source(str(path), splits)
    if any(_texts(folder) for folder in folders):
        return Source(str(path), {"": lambda: read_class_folders(path, folders, options)}, one_table=True)
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
    raise DataError(
        f"the folder '{path}' holds neither files named after splits (train.csv, test.parquet …) nor one folder of .txt files a class; "
        f"found: {found}. Name one of its files to read only that."
    )


def split_name(stem: str) -> str | None:
    """The split that a file name means: its own word for it, so that 'dev' stays 'dev'."""
    word = re.split(r"[-_.]", stem, maxsplit=1)[0].lower()
    return word if any(word in words for words in _SPLITS.values()) else None


def _split_files(path: Path, options: ReadOptions) -> dict[str, Callable[[], Loaded]]:
    files: dict[str, list[Path]] = {}
    for entry in sorted(path.iterdir()) if path.is_dir() else ():
        stem, suffix, _ = split_suffixes(entry)
        name = split_name(stem)
        if entry.is_file() and suffix and name:
            files.setdefault(name, []).append(entry)
    return {name: _reader(name, files[name], options) for name in sorted(files, key=_order)}


def _order(name: str) -> int:
    return next(i for i, words in enumerate(_SPLITS.values()) if name in words)


def _reader(name: str, files: Sequence[Path], options: ReadOptions) -> Callable[[], Loaded]:
    def read() -> Loaded:
        if len(files) == 1:
            return read_file(files[0], options)
        if not all(_SHARD.fullmatch(split_suffixes(file)[0]) for file in files):
            raise several_files(name, files)
        return _join([read_file(file, options) for file in files], str(files[0].parent))

    return read


def several_files(name: str, files: Sequence[Path]) -> DataError:
    """The error about files of which each would be the split `name`."""
    names = ", ".join(file.name for file in files)
    return DataError(f"the folder '{files[0].parent}' has several files for the split '{name}' ({names}); name the one to read")


def _join(parts: Sequence[Loaded], source: str) -> Loaded:
    """Shards in a row. Row numbers count through all of them, rows that were dropped included."""
    dropped: Counter[str] = sum((part.dropped for part in parts), Counter())
    notes: Counter[str] = sum((part.notes for part in parts), Counter())
    numbers, begun = [], 0
    for part in parts:
        numbers.append(begun + part.row_numbers())
        begun += part.table.num_rows + part.dropped.total()
    try:
        table = pa.concat_tables([part.table for part in parts], promote_options="permissive")
        return Loaded(table, np.concatenate(numbers), dropped, notes)
    except pa.ArrowException as error:
        raise DataError(f"the shards in '{source}' have different columns: {error}") from error


def _split_folders(folders: Sequence[Path], options: ReadOptions) -> dict[str, Callable[[], Loaded]]:
    splits: dict[str, tuple[Path, list[Path]]] = {}
    for folder in folders:
        classes = sorted(entry for entry in folder.iterdir() if entry.is_dir())
        if split_name(folder.name) == folder.name.lower() and any(_texts(entry) for entry in classes):
            splits[folder.name.lower()] = folder, classes

    def reader(name: str) -> Callable[[], Loaded]:
        folder, classes = splits[name]
        elsewhere = {entry.name for other, (_, entries) in splits.items() if other != name for entry in entries}
        unlabelled = [entry for entry in classes if entry.name.lower() in _UNLABELLED and elsewhere and entry.name not in elsewhere]
        return lambda: read_class_folders(folder, [entry for entry in classes if entry not in unlabelled], options, unlabelled)

    return {name: reader(name) for name in sorted(splits, key=_order)}


def _texts(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and file.name.lower().endswith(_TEXT_SUFFIXES))


def read_class_folders(path: Path, folders: Sequence[Path], options: ReadOptions, unlabelled: Sequence[Path] = ()) -> Loaded:
    """One row a `.txt` file; the label is its folder's name. Folders without such a file are no class, and what is in those that
    are `unlabelled` is counted only."""
    files = [(file, folder.name) for folder in folders for file in _texts(folder)]
    texts = [decode_text(read_bytes(file), options.encoding, str(file)) for file, _ in files]
    columns = {"text": texts, "label": [label for _, label in files], "path": [file.relative_to(path).as_posix() for file, _ in files]}
    left_out = Counter({f"texts of the folder '{folder.name}', which is no class": len(_texts(folder)) for folder in unlabelled})
    return Loaded(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), dropped=left_out)
