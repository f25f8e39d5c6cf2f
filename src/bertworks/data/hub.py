"""Data sets of the `datasets` library: in memory, saved on disk, or on the hub (through its offline cache)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bertworks.data.loaded import Loaded, Source
from bertworks.errors import DataError, MissingExtraError, nearest


def _library(purpose: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtraError.for_package("datasets", "hub", purpose) from None
    return datasets


def from_datasets(data: Any, name: str) -> Source:
    """The source that a `Dataset` or a `DatasetDict` is. Raises `DataError` for streamed data sets."""
    if hasattr(data, "keys") and hasattr(data, "values"):
        if all(hasattr(split, "with_format") and hasattr(split, "__len__") for split in data.values()):
            return Source(name, {str(key): _reader(split) for key, split in data.items()})
    elif hasattr(data, "with_format") and hasattr(data, "__len__"):
        return Source(name, {str(data.split or ""): _reader(data)}, one_table=True)
    raise DataError(f"{name} cannot be read as a table; a streamed data set must first be loaded without streaming")


def _reader(data: Any) -> Callable[[], Loaded]:
    def read() -> Loaded:
        table = data.with_format("arrow")[:]
        # The features say which integers are class names; the arrow view does not carry them.
        return Loaded(table.replace_schema_metadata(data.features.arrow_schema.metadata))

    return read


def from_disk(path: Path) -> Source:
    """What `save_to_disk` wrote."""
    library = _library(f"reading the data set in '{path}'")
    try:
        return from_datasets(library.load_from_disk(str(path)), str(path))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(f"the data set in '{path}' cannot be read: {error}") from error


def _like_a_file(name: str) -> str:
    folder = Path(name).parent
    return nearest(name, [str(entry) for entry in folder.iterdir()]) if folder.is_dir() else ""


def from_hub(name: str, wanted: Sequence[str]) -> Source:
    """A data set of the hub: "imdb", "user/name" or "name:configuration". Only the `wanted` splits are loaded.

    Raises `DataError` where it cannot be had, with the library's own reason.
    """
    library = _library(f"reading the data set '{name}' (no file or folder has that name)")
    repository, _, configuration = name.partition(":")

    def load(split: str | None) -> Any:
        try:
            return library.load_dataset(repository, configuration or None, split=split)
        except Exception as error:  # the loading of foreign data sets may raise anything
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise DataError(
                f"'{name}' is neither a file nor a folder here, and `datasets` cannot load {f'its split {split!r}' if split else 'it'} "
                f"from the hub or its cache: {reason}{_like_a_file(name)}"
            ) from error

    if wanted and all(wanted):
        return Source(name, {split: lambda split=split: _reader(load(split))() for split in wanted})  # type: ignore[misc]
    return from_datasets(load(None), name)
