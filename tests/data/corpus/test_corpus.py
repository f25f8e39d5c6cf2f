"""A corpus folder can be moved, is refused where it is not what was written, and is never wholly in memory."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks.data.corpus.corpus import Corpus
from bertworks.data.corpus.duplicates import Seen
from bertworks.data.corpus.encoded import EncodedDocuments
from bertworks.data.corpus.shards import Shard, write_shard
from bertworks.errors import BertworksError, DataError
from bertworks.tokenization import Tokenizer
from tests.data.corpus.conftest import Prepare, as_text, content, random_documents

DOCUMENTS = random_documents(40, seed=2)

PREPARE = """
import resource, sys
from pathlib import Path
from bertworks.data.corpus.prepare import prepare
from bertworks.data.corpus.settings import PreparationSettings
from bertworks.tokenization import Tokenizer
text, vocabulary, output, deduplicate = sys.argv[1:]
settings = PreparationSettings("sentences", shard_tokens=200_000, deduplicate=deduplicate)
corpus = prepare(text, Tokenizer.load(vocabulary), Path(output), settings, processes=1)
kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
print(kibibytes, corpus.totals.documents + corpus.held_out.totals.documents)
"""


@pytest.fixture
def corpus(prepared: Prepare) -> Corpus:
    return prepared(DOCUMENTS, shard_tokens=500, held_out=0.2)


def test_a_moved_folder_is_the_same_corpus(corpus: Corpus, tmp_path: Path, tokenizer: Tokenizer) -> None:
    moved = Corpus.open(shutil.move(corpus.folder, tmp_path / "elsewhere"), verify=True)
    assert (moved.key, moved.totals, moved.manifest) == (corpus.key, corpus.totals, corpus.manifest)
    assert moved.tokenizer.fingerprint() == tokenizer.fingerprint()
    assert len(content(moved.shards)) == moved.totals.documents
    assert moved.totals.documents + moved.held_out.totals.documents == len(DOCUMENTS)


def test_shards_are_opened_when_they_are_asked_for(corpus: Corpus) -> None:
    opened = Corpus.open(corpus.folder)
    (corpus.folder / "train-00001.safetensors").unlink()
    assert opened.shards[0] is opened.shards[0]
    assert opened.shards[-1].path.name == f"train-{len(opened.shards) - 1:05d}.safetensors"
    assert [shard.path.name for shard in opened.shards[2:4]] == ["train-00002.safetensors", "train-00003.safetensors"]
    with pytest.raises(BertworksError, match="train-00001"):
        opened.shards[1]
    with pytest.raises(IndexError):
        opened.shards[len(opened.shards)]


def test_tokenizers_keep_their_fingerprint_in_a_corpus(prepared: Prepare, corpus: Corpus) -> None:
    again = prepared(DOCUMENTS, "again", tokenizer=corpus.tokenizer, shard_tokens=500, held_out=0.2)
    assert again.manifest == corpus.manifest


def change_manifest(folder: Path, **values: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no folder"),
        (lambda folder: (folder / "manifest.json").unlink(), "holds no corpus"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "was not written by this version"),
        (lambda folder: change_manifest(folder, version=0), "was not written by this version"),
        (lambda folder: change_manifest(folder, kind="model"), "was not written by this version"),
        (lambda folder: change_manifest(folder, shards=3), "is damaged"),
        (lambda folder: (folder / "train-00001.safetensors").unlink(), "train-00001.safetensors is missing"),
        (lambda folder: (folder / "held-out-00000.safetensors").write_bytes(b""), "has 0 bytes, not "),
        (lambda folder: (folder / "tokenizer" / "vocab.txt").write_text("a\n"), "vocab.txt has 2 bytes, not "),
    ],
)
def test_what_is_no_corpus_is_refused(corpus: Corpus, damage: Any, told: str) -> None:
    damage(corpus.folder)
    with pytest.raises(DataError, match=told):
        Corpus.open(corpus.folder)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["train-00000.safetensors", "tokenizer/tokenizer.json"])
def test_a_flipped_bit_is_found_when_every_byte_is_checked(corpus: Corpus, name: str) -> None:
    flip(corpus.folder / name)
    Corpus.open(corpus.folder)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        Corpus.open(corpus.folder, verify=True)


def test_shards_of_another_corpus_are_refused(prepared: Prepare, corpus: Corpus) -> None:
    other = prepared(DOCUMENTS, "other", shard_tokens=500, held_out=0.2, language="de")
    shutil.copy(other.folder / "train-00000.safetensors", corpus.folder)
    opened = Corpus.open(corpus.folder)
    with pytest.raises(DataError, match="belongs to another corpus"):
        opened.shards[0]
    assert opened.shards[1]


def test_documents_that_are_not_there(corpus: Corpus) -> None:
    count = len(corpus.shards[0].documents) - 1
    for number in (count, -1):
        with pytest.raises(DataError, match=f"has {count} documents, numbered from 0"):
            corpus.decode(corpus.shards[0], number)


def test_shards_that_hold_no_origin(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.safetensors", np.array([1]), np.array([True]), np.array([0, 1]), np.array([0, 1]), vocabulary=2)
    with pytest.raises(DataError, match="has no 'sources'"):
        Shard(tmp_path / "a.safetensors").further("sources")


def test_tokens_beyond_the_vocabulary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="outside the vocabulary"):
        write_shard(tmp_path / "a.safetensors", np.array([65_536]), np.array([True]), np.array([0, 1]), np.array([0, 1]), vocabulary=65_536)


def test_parts_of_documents() -> None:
    lengths, counts = np.array([3, 1, 2, 4, 1]), np.array([2, 1, 2])
    tokens = np.arange(11, dtype=np.uint32)
    three = np.arange(3)
    all_of_it = EncodedDocuments(tokens, tokens % 2 == 0, lengths, counts, three.astype(np.uint64), *(three.astype(np.uint32),) * 2)
    assert all_of_it.document_tokens.tolist() == [4, 2, 5]
    some = all_of_it.take(np.array([True, False, True]))
    assert some.tokens.tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 10]
    assert (some.sentence_lengths.tolist(), some.document_lengths.tolist(), some.hashes.tolist()) == ([3, 1, 4, 1], [2, 2], [0, 2])
    joined = EncodedDocuments.joined([all_of_it.between(i, i + 1) for i in range(3)])
    assert all(np.array_equal(a, b) for a, b in zip(vars(joined).values(), vars(all_of_it).values(), strict=True))


def test_hashes_that_were_seen() -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    seen, known = Seen(), set[int]()
    for size in draw.integers(0, 60, 200):
        hashes = draw.integers(0, 3000, size, dtype=np.uint64)
        expected = []
        for value in hashes.tolist():
            expected.append(value not in known)
            known.add(value)
        assert seen.add(hashes).tolist() == expected
    assert sum(map(len, seen._sorted)) == len(known)
    assert len(seen._sorted) < 12


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the module resource")
@pytest.mark.parametrize("deduplicate", ["none", "exact"])
def test_memory_does_not_grow_with_the_text(vocabulary: Path, tmp_path: Path, deduplicate: str) -> None:
    peaks = []
    for times in (1, 10):
        path = tmp_path / f"{times}.txt"
        with open(path, "w", encoding="utf-8") as file:
            for seed in range(times):
                file.write(as_text(random_documents(6000, seed=seed)) + "\n")
        command = [sys.executable, "-c", PREPARE, str(path), str(vocabulary), str(tmp_path / f"corpus-{times}"), deduplicate]
        peak, documents = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert 0.9 < int(documents) / (6000 * times) <= 1
        peaks.append(int(peak))
    assert path.stat().st_size > 15_000_000
    assert peaks[1] - peaks[0] < 4_000, "kibibytes"
