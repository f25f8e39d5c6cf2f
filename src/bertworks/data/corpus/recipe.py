"""What a corpus is prepared from, and how: all that decides its bytes, and nothing else."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bertworks.data.corpus.sentences import LineStyle, SentenceSplitter, line_style
from bertworks.data.corpus.settings import PreparationSettings
from bertworks.data.documents import Document, read_documents
from bertworks.data.text_files import Sources, find_files
from bertworks.data.text_stream import TextCounts
from bertworks.errors import DataError
from bertworks.tokenization import Tokenizer
from bertworks.tokenization.bulk import BulkTokenizer

FORMAT = 1
"""Version of the code: raised when the same files and settings give other shards than before."""
_SAMPLE = 500_000
"""Characters by which it is judged what a file's lines are."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class InputFile:
    """A file of text, as it was when the preparation began."""

    path: Path
    name: str
    """Its path, from the folder that all files have in common."""
    bytes: int
    sha256: str
    modified: int
    """Nanoseconds; by it is told whether the file changed while it was read."""
    style: LineStyle
    """What its lines are."""

    def described(self) -> dict[str, Any]:
        """What of it goes into the manifest."""
        return {"name": self.name, "bytes": self.bytes, "sha256": self.sha256, "lines": self.style}

    def check_unchanged(self) -> None:
        """Raises `DataError` where the file is not what it was."""
        try:
            status = self.path.stat()
        except OSError:
            raise DataError(f"'{self.path}' vanished while it was read: put it back and run the same command again") from None
        if (status.st_size, status.st_mtime_ns) != (self.bytes, self.modified):
            raise DataError(f"'{self.path}' changed while it was read: run the same command again, which begins anew")


@dataclass(frozen=True)
class Recipe:
    """A preparation. Two equal recipes give the same corpus, byte for byte."""

    files: tuple[InputFile, ...]
    notes: dict[str, int]
    """What was left out already when files were looked for."""
    settings: PreparationSettings
    fingerprint: str
    """Of the tokenizer."""
    vocabulary: int
    libraries: dict[str, str]
    """Versions of what splits and tokenizes."""

    def described(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "version": FORMAT,
            "tokenizer": {"fingerprint": self.fingerprint, "vocabulary": self.vocabulary},
            "libraries": self.libraries,
            "settings": asdict(self.settings),
            "files": [file.described() for file in self.files],
            "notes": self.notes,
        }

    @property
    def key(self) -> str:
        """A hash of all that decides the shards."""
        deciding = {name: value for name, value in self.described().items() if name != "notes"}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def make_recipe(sources: Sources, tokenizer: Tokenizer, settings: PreparationSettings) -> Recipe:
    """Finds the files, hashes them and looks at their beginnings.

    Raises `DataError` where a file is missing, damaged or no text, `SettingsError` where the tokenizer is unfit,
    `MissingExtraError` where sentences must be split off and the library for it is not installed.
    """
    BulkTokenizer(tokenizer)  # refuses what it cannot use
    notes: Counter[str] = Counter()
    paths = find_files(sources, notes)
    statuses = [path.stat() for path in paths]
    with ThreadPoolExecutor() as threads:
        hashes = list(threads.map(_sha256_of_input, paths))
    files = tuple(
        InputFile(path, name, status.st_size, sha256, status.st_mtime_ns, style_of(path, settings))
        for path, name, status, sha256 in zip(paths, _names(paths), statuses, hashes, strict=True)
    )
    libraries = {"tokenizers": version("tokenizers")}
    if any(file.style != "sentences" for file in files):
        SentenceSplitter(settings.language)
        libraries["sentencex"] = version("sentencex")
    return Recipe(files, dict(notes), settings, tokenizer.fingerprint(), tokenizer.vocabulary_size, libraries)


def documents_of(path: Path, settings: PreparationSettings, counts: TextCounts | None = None, **watch: Any) -> Iterator[Document]:
    """The documents of one file; bytes that are no text become U+FFFD and are counted."""
    return read_documents(
        path,
        unit="paragraph",
        text=settings.text,
        encoding=settings.encoding,
        on_bad_rows=settings.on_bad_rows,
        on_bad_bytes="replace",
        counts=counts,
        **watch,
    )


def differences(old: dict[str, Any], recipe: Recipe) -> list[str]:
    """In what a recipe differs from one that was described before, in words; the first few files that differ stand for all."""
    new, out = recipe.described(), []
    if old.get("version") != FORMAT:
        out.append("bertworks prepares otherwise than it did")
    if old.get("tokenizer") != new["tokenizer"]:
        out.append("another tokenizer")
    for kind in ("settings", "libraries"):
        before = old.get(kind, {})
        out += [f"{name} was {before.get(name)!r}, is {value!r}" for name, value in new[kind].items() if before.get(name) != value]
    was, now = ({file["name"]: file["sha256"] for file in described.get("files", [])} for described in (old, new))
    changes = [f"'{name}' is gone" for name in was if name not in now]
    changes += [f"'{name}' is new" for name in now if name not in was]
    changes += [f"'{name}' has changed" for name in now if name in was and was[name] != now[name]]
    out += changes[:3] + ([f"{len(changes) - 3} more files"] if len(changes) > 3 else [])
    return out or ["the files are read otherwise or in another order"]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises `OSError` where it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _sha256_of_input(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _names(paths: Sequence[Path]) -> list[str]:
    """Paths from the folder that all have in common; as they are, where they are on several drives."""
    absolute = [os.path.abspath(path) for path in paths]
    try:
        common = os.path.commonpath([os.path.dirname(path) for path in absolute])
    except ValueError:
        return [Path(path).as_posix() for path in absolute]
    return [Path(os.path.relpath(path, common)).as_posix() for path in absolute]


def style_of(path: Path, settings: PreparationSettings) -> LineStyle:
    """What the lines of a file are: what the settings say, or what its beginning tells."""
    if settings.lines != "auto":
        return settings.lines
    sample: list[str] = []
    size = 0
    for document in documents_of(path, settings):
        sample.append(document.text)
        size += len(document.text)
        if size > _SAMPLE:
            break
    return line_style(sample)
