"""Which files are meant: paths, folders and patterns as a list of files, in an order that no machine changes."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bertworks.data.files import COMPRESSIONS, missing_file, split_suffixes
from bertworks.errors import DataError

Sources = str | Path | Sequence[str | Path]
"""A file, a folder or a pattern such as `corpus/**/*.txt.xz`, or several of them."""

_IN_FOLDERS = (".txt", ".jsonl", ".ndjson", ".parquet", ".csv", ".tsv")


def find_files(sources: Sources, notes: Counter[str] | None = None) -> list[Path]:
    """The files that paths, folders and patterns mean.

    They come in the order of `sources`; those of a folder (with all its subfolders) or of a pattern are sorted by
    their paths. Of a folder, files with a suffix of text or of a table are taken; hidden ones are not. A file that is
    meant twice comes once. What is left out is counted in `notes`.

    Raises `DataError` where something does not exist or holds no such file.
    """
    notes = Counter() if notes is None else notes
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    if not given:
        raise DataError("no file is named: give files, folders or patterns such as 'corpus/*.txt'")
    found: dict[str, Path] = {}
    for source in given:
        for path in _meant(source, notes):
            if found.setdefault(os.path.realpath(path), path) is not path:
                notes["named more than once, read once"] += 1
    return list(found.values())


def _meant(source: str | Path, notes: Counter[str]) -> Iterator[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _in_folder(path, notes)
    elif path.exists():
        yield path
    elif glob.has_magic(str(path)):
        matches = sorted((Path(match) for match in glob.glob(str(path), recursive=True)), key=_order)
        if not matches:
            raise DataError(f"no file matches '{source}'")
        for match in matches:
            if not match.is_dir():
                yield match
        if all(match.is_dir() for match in matches):
            raise DataError(f"'{source}' matches folders only, such as '{matches[0]}': name the folders, or the files with '{source}/*'")
    else:
        raise missing_file(path)


def _in_folder(folder: Path, notes: Counter[str]) -> Iterator[Path]:
    taken, others, seen = [], Counter[str](), set[str]()
    for where, folders, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        seen.add(os.path.realpath(where))
        # links may lead in circles
        folders[:] = sorted(name for name in folders if name[0] != "." and os.path.realpath(Path(where, name)) not in seen)
        for path in (Path(where, name) for name in names if not name.startswith(".")):
            if split_suffixes(path)[1] in _IN_FOLDERS:
                taken.append(path)
            else:
                others[path.suffix or path.name] += 1
    if not taken:
        has = ", ".join(f"{count} × {suffix}" for suffix, count in others.most_common(5)) or "nothing"
        raise DataError(
            f"the folder '{folder}' holds no text; it holds {has}. "
            f"Looked for {' '.join(_IN_FOLDERS)}, each also with {' '.join(COMPRESSIONS)}; other files must be named one by one"
        )
    if others:
        notes[f"left out of '{folder}', for their suffix is none of text: {', '.join(sorted(others)[:5])}"] += others.total()
    yield from sorted(taken, key=_order)


def _unreadable(error: OSError) -> None:
    raise DataError(f"the folder '{error.filename}' cannot be read: {error.strerror}. Name the files that can, or mend its permissions")


def _order(path: Path) -> tuple[str, ...]:
    return path.parts
