"""`prepare`: text to corpus, in parallel, resumable, the same bytes every time."""

import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

from jaxtyping import Int

from bertworks.batch import Array
from bertworks.checkpoints.files import read_json, write_json, write_tensors
from bertworks.checkpoints.lock import LOCK, RunLock
from bertworks.checkpoints.safetensors_file import SafetensorsFile
from bertworks.data.corpus.corpus import KIND, MANIFEST, TOKENIZER, UNFINISHED, Corpus
from bertworks.data.corpus.duplicates import near_duplicates_of_earlier
from bertworks.data.corpus.encoded import EncodedDocuments
from bertworks.data.corpus.encoder import DocumentEncoder, EncodedBatch
from bertworks.data.corpus.processes import Processes, available_processors
from bertworks.data.corpus.recipe import Recipe, differences, documents_of, make_recipe, sha256_of
from bertworks.data.corpus.segments import Batch, Position, Segment, Segmenter, SegmentRecord, WrittenShard, batches
from bertworks.data.corpus.settings import PreparationSettings
from bertworks.data.corpus.shards import Shard
from bertworks.data.corpus.totals import CorpusAccounting, Totals
from bertworks.data.text_files import Sources
from bertworks.errors import CheckpointError, DataError, SettingsError
from bertworks.tokenization import Tokenizer

_RECIPE, _NEAR = "recipe.json", "near-duplicates.safetensors"
_SMALL = 8_000_000
"""Bytes of text for which no other process is worth its start."""


class PreparationProgress:
    """Watches a preparation; this one does nothing."""

    def message(self, text: str) -> None:
        """Something worth a line happened."""

    def read(self, done: int, total: int) -> None:
        """So many bytes of all files were read."""

    def encoded(self, documents: int, tokens: int) -> None:
        """So many documents more were tokenized."""


def prepare(
    files: Sources,
    tokenizer: Tokenizer,
    output: Path,
    settings: PreparationSettings,
    *,
    processes: int | None = None,
    progress: PreparationProgress | None = None,
) -> Corpus:
    """Prepares a corpus; see `estimators.verbs.corpus.prepare_corpus`."""
    progress = progress or PreparationProgress()
    if processes is not None and processes < 1:
        raise SettingsError(f"processes is a number, at least 1, not {processes}")
    recipe = make_recipe(files, tokenizer, settings)
    _require_corpus(output)
    lock = RunLock(output, doing="prepared")
    try:
        if lock.note is not None:
            progress.message(lock.note)
        if _is_finished(output, recipe, progress):
            return Corpus.open(output)
        tokenizer.save(output / TOKENIZER)
        preparation = _Preparation(recipe, tokenizer, output, progress)
        preparation.run(processes or _suitable(recipe))
        return preparation.finish()
    finally:
        lock.release()


def _suitable(recipe: Recipe) -> int:
    """As many processes as there are processors; one where the text is too little to be worth more."""
    return available_processors() if sum(file.bytes for file in recipe.files) > _SMALL else 1


def _described(output: Path) -> Path | None:
    """The file that says what corpus a folder holds, finished or not."""
    return next((path for path in (output / MANIFEST, output / UNFINISHED / _RECIPE) if path.is_file()), None)


def _require_corpus(output: Path) -> None:
    """Raises `SettingsError` where the folder holds other things than a corpus."""
    if output.exists() and not output.is_dir():
        raise SettingsError(f"'{output}' is a file: name a folder for the corpus")
    if output.is_dir() and _described(output) is None and any(path.name != LOCK for path in output.iterdir()):
        raise SettingsError(f"'{output}' is not empty and holds no corpus: name another folder")


def _is_finished(output: Path, recipe: Recipe, progress: PreparationProgress) -> bool:
    """Whether the corpus is there already. If not, whatever of the folder does not belong to the recipe is removed."""
    found = _described(output)
    try:
        old = {} if found is None else read_json(found)
    except CheckpointError:
        old = {}
    if old.get("key") == recipe.key:
        try:
            Corpus.open(output)
        except DataError as error:
            if found == output / MANIFEST:
                progress.message(f"the corpus is damaged and made anew: {error}")
                _clear(output, recipe)
            return False
        shutil.rmtree(output / UNFINISHED, ignore_errors=True)
        progress.message(f"{output} is finished already: same files, settings and tokenizer")
        return True
    if found is not None:
        progress.message(f"what {output} holds is made anew, nothing of it is used: {'; '.join(differences(old, recipe))}")
    _clear(output, recipe)
    return False


def _clear(output: Path, recipe: Recipe) -> None:
    """Writes down what is begun, and removes all of an earlier corpus. Killed at any moment, it is done again."""
    write_json(output / UNFINISHED / _RECIPE, {"key": recipe.key, **recipe.described()})
    (output / MANIFEST).unlink(missing_ok=True)
    _remove_shards(output, keep=set())
    for path in (output / UNFINISHED).iterdir():
        if path.name != _RECIPE:
            path.unlink()
    shutil.rmtree(output / TOKENIZER, ignore_errors=True)


def _remove_shards(output: Path, keep: set[str]) -> None:
    for path in (*output.glob("train-*.safetensors"), *output.glob("held-out-*.safetensors")):
        if path.name not in keep:
            path.unlink()


class _Preparation:
    """A preparation that is going on."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, output: Path, progress: PreparationProgress) -> None:
        self.recipe, self.tokenizer, self.output, self.progress = recipe, tokenizer, output, progress
        self.unfinished = output / UNFINISHED
        self.records = self._finished_segments()

    def _record(self, number: int) -> Path:
        return self.unfinished / f"segment-{number:05d}.json"

    def _finished_segments(self) -> list[SegmentRecord]:
        records: list[SegmentRecord] = []
        while not (records and records[-1].last):
            record = SegmentRecord.read(self._record(len(records)), self.output, self.recipe.key)
            if record is None:
                break
            records.append(record)
        if records:
            self.progress.message(f"going on behind {len(records):,} finished shards, whose files, settings and tokenizer are the same")
        return records

    def run(self, processes: int) -> None:
        """Makes the segments that are not finished."""
        if self.records and self.records[-1].last:
            return
        near = self._near_duplicates() if self.recipe.settings.deduplicate == "near" else None
        segmenter = Segmenter(self.recipe.settings, near)
        for record in self.records:
            for shard in (record.train, record.held_out):
                if shard is not None:
                    segmenter.remember(Shard(self.output / shard.file).further("hashes"))
        start = self.records[-1].end if self.records else Position()
        total = sum(file.bytes for file in self.recipe.files)
        read = batches(self.recipe.files, self.recipe.settings, start, lambda done: self.progress.read(done, total))
        make = partial(_encoder, self.output / TOKENIZER, self.recipe.settings.language)
        pool = Processes(make, processes) if processes > 1 else nullcontext(_ThisProcess(make()))
        with pool as workers, closing(workers.map(read)) as encoded:
            for segment in segmenter.segments(self._watched(encoded), len(self.records), start):
                if segment.last:
                    for file in self.recipe.files:
                        file.check_unchanged()
                self.records.append(self._write(segment))

    def _watched(self, encoded: Iterable[tuple[Batch, EncodedBatch]]) -> Iterator[tuple[Batch, EncodedBatch]]:
        for batch, result in encoded:
            self.progress.encoded(len(result.documents), len(result.documents.tokens))
            yield batch, result

    def _near_duplicates(self) -> Int[Array, "documents"]:
        """The numbers of the near duplicates, which are found once and kept."""
        path = self.unfinished / _NEAR
        try:
            found = SafetensorsFile(path)
            if found.metadata.get("key") == self.recipe.key:
                return found.array("documents")
        except (CheckpointError, KeyError):
            pass
        self.progress.message("looking for near duplicates (16 bytes of memory a word)")
        numbers = near_duplicates_of_earlier(
            document.text for file in self.recipe.files for document in documents_of(file.path, self.recipe.settings)
        )
        write_tensors(path, {"documents": numbers}, metadata={"key": self.recipe.key})
        return numbers

    def _write(self, segment: Segment) -> SegmentRecord:
        name = f"{segment.number:05d}.safetensors"
        train = self._write_shard(segment.train, f"train-{name}")
        held_out = self._write_shard(segment.held_out, f"{UNFINISHED}/held-out-{name}")
        record = SegmentRecord(self.recipe.key, train, held_out, segment.accounting, segment.end, segment.last)
        record.write(self._record(segment.number))
        return record

    def _write_shard(self, parts: list[EncodedDocuments], file: str) -> WrittenShard | None:
        if not parts:
            return None
        documents = EncodedDocuments.joined(parts)
        path = self.output / file
        documents.write(path, vocabulary=self.recipe.vocabulary, about={"kind": f"{KIND}, a shard", "key": self.recipe.key})
        totals = Totals.of(documents, self.tokenizer.unknown_id, self.tokenizer.special_ids)
        return WrittenShard(file, path.stat().st_size, sha256_of(path), totals)

    def finish(self) -> Corpus:
        """Puts the held-out documents together, writes the manifest and removes what was there for resuming only.

        Raises `DataError` where nothing is left to train on.
        """
        shards = [record.train for record in self.records if record.train is not None]
        accounting = sum((record.accounting for record in self.records), CorpusAccounting(notes=Counter(self.recipe.notes)))
        if not shards:
            raise DataError("no text is left to train on: " + "; ".join(accounting.lines()))
        held_out = self._held_out_shards()
        tokenizer_files = sorted((self.output / TOKENIZER).iterdir())
        manifest = {
            "kind": KIND,
            "key": self.recipe.key,
            **self.recipe.described(),
            "tokenizer_files": [{"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in tokenizer_files],
            "totals": asdict(sum((shard.totals for shard in shards), Totals())),
            "held_out_totals": asdict(sum((shard.totals for shard in held_out), Totals())),
            "accounting": accounting.to_dict(),
            "shards": [asdict(shard) for shard in shards],
            "held_out": [asdict(shard) for shard in held_out],
        }
        write_json(self.output / MANIFEST, manifest)
        _remove_shards(self.output, keep={shard.file for shard in (*shards, *held_out)})
        shutil.rmtree(self.unfinished, ignore_errors=True)
        return Corpus.open(self.output)

    def _held_out_shards(self) -> list[WrittenShard]:
        """The held-out documents of all segments in shards of the usual size."""
        parts: list[EncodedDocuments] = []
        out: list[WrittenShard] = []
        pieces = [record.held_out for record in self.records if record.held_out is not None]
        for number, piece in enumerate(pieces, 1):
            parts.append(EncodedDocuments.of_shard(Shard(self.output / piece.file)))
            if number == len(pieces) or sum(len(part.tokens) for part in parts) >= self.recipe.settings.shard_tokens:
                written = self._write_shard(parts, f"held-out-{len(out):05d}.safetensors")
                out += [written] if written is not None else []
                parts = []
        return out


class _ThisProcess:
    """What `Processes` does, here."""

    def __init__(self, encode: Callable[[Batch], EncodedBatch]) -> None:
        self._encode = encode

    def map(self, items: Iterable[Batch]) -> Generator[tuple[Batch, EncodedBatch]]:
        for item in items:
            yield item, self._encode(item)


def _encoder(folder: Path, language: str) -> Callable[[Batch], EncodedBatch]:
    """What each process calls with batches."""
    encode = DocumentEncoder(Tokenizer.load(folder), language)
    return lambda batch: encode(batch.documents)
