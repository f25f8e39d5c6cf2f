"""The same text gives the same bytes, however many processes work and however often they are stopped; nothing stale is used."""

import json
import os
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bertworks.checkpoints.lock import LOCK, RunLock
from bertworks.data.corpus import prepare as preparing
from bertworks.data.corpus import segments
from bertworks.data.corpus.corpus import Corpus
from bertworks.errors import DataError, SettingsError
from bertworks.tokenization import Tokenizer
from tests.data.corpus.conftest import Prepare, Watcher, as_text, content, files_of, random_documents, slowly

DOCUMENTS = random_documents(150, seed=5)
SETTINGS: dict[str, Any] = {"shard_tokens": 700, "held_out": 0.1, "deduplicate": "exact"}

KILLED = """
import os, signal, sys
from pathlib import Path
from bertworks.data.corpus import prepare, segments
from bertworks.data.corpus.settings import PreparationSettings
from bertworks.tokenization import Tokenizer

files, vocabulary, output, processes, writes = sys.argv[1:]
segments._BATCH = 400
replace, left = os.replace, int(writes)

def replace_or_die(*paths):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)

os.replace = replace_or_die
settings = PreparationSettings("sentences", shard_tokens=700, held_out=0.1, deduplicate="exact")
prepare.prepare(files.split(","), Tokenizer.load(vocabulary), Path(output), settings, processes=int(processes))
"""


class Stopped(BaseException):
    """The end of a process, as far as that can be had inside one."""


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    """Three files, with duplicates among them."""
    documents = [DOCUMENTS[:60], [*DOCUMENTS[60:100], *DOCUMENTS[:20]], [*DOCUMENTS[100:], *DOCUMENTS[90:95]]]
    paths = [tmp_path / "in" / f"{number}.txt" for number in range(3)]
    paths[0].parent.mkdir()
    for path, some in zip(paths, documents, strict=True):
        path.write_text(as_text(some), encoding="utf-8")
    return paths


@pytest.fixture
def straight(prepared: Prepare, texts: list[Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of a corpus that was prepared in one go. Batches are small from then on."""
    corpus = prepared(texts, "straight", **SETTINGS)
    assert len(corpus.shards) >= 5
    assert corpus.accounting.dropped == {segments.DUPLICATE: 25}
    monkeypatch.setattr(segments, "_BATCH", 400)
    return files_of(corpus.folder)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_any_number_of_processes_gives_the_same_bytes(
    prepared: Prepare, texts: list[Path], straight: dict[str, bytes], processes: int
) -> None:
    assert files_of(prepared(texts, "other", processes=processes, **SETTINGS).folder) == straight


@pytest.mark.parametrize("deduplicate", ["exact", "near"])
def test_stopped_at_every_write_and_resumed(
    prepared: Prepare, texts: list[Path], monkeypatch: pytest.MonkeyPatch, deduplicate: str
) -> None:
    chosen = SETTINGS | {"deduplicate": deduplicate}
    expected = files_of(prepared(texts, "straight", **chosen).folder)
    monkeypatch.setattr(segments, "_BATCH", 400)
    replace = os.replace
    resumed = 0
    for writes in count(1):
        left = writes

        def replace_or_stop(*paths: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Stopped
            replace(*paths)

        watcher = Watcher()
        monkeypatch.setattr(os, "replace", replace_or_stop)
        try:
            corpus = prepared(texts, watcher=watcher, **chosen)
            break
        except Stopped:
            assert not (texts[0].parents[1] / "corpus" / "manifest.json").exists()
        finally:
            resumed += any("going on behind" in message for message in watcher.messages)
            assert not any("anew" in message for message in watcher.messages)
    assert resumed > 3
    assert files_of(corpus.folder) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of POSIX")
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_and_resumed(
    prepared: Prepare, texts: list[Path], straight: dict[str, bytes], vocabulary: Path, tmp_path: Path, processes: int
) -> None:
    for writes in (4, 13):
        command = [
            sys.executable,
            "-c",
            KILLED,
            ",".join(map(str, texts)),
            str(vocabulary),
            str(tmp_path / "corpus"),
            str(processes),
            str(writes),
        ]
        killed = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (killed.returncode, killed.stderr) == (-9, "")
        with pytest.raises(DataError, match="unfinished"):
            Corpus.open(tmp_path / "corpus")
    watcher = Watcher()
    corpus = prepared(texts, watcher=watcher, **SETTINGS)
    assert "going on behind" in watcher.messages[0]
    assert files_of(corpus.folder) == straight, "not even a leftover of the killed processes remains"
    Corpus.open(corpus.folder, verify=True)


def test_a_finished_corpus_is_left_alone(prepared: Prepare, texts: list[Path]) -> None:
    folder = prepared(texts, **SETTINGS).folder
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    watcher = Watcher()
    prepared(texts, watcher=watcher, processes=2, **SETTINGS)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    assert ["finished already" in message for message in watcher.messages] == [True]


def stop_after(monkeypatch: pytest.MonkeyPatch, prepared: Prepare, texts: list[Path], shards: int, **settings: Any) -> Path:
    """A folder in which so many shards are finished, and no more."""
    write = preparing._Preparation._write
    left = shards

    def write_or_stop(self: Any, segment: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped
        return write(self, segment)

    with monkeypatch.context() as patch:
        patch.setattr(preparing._Preparation, "_write", write_or_stop)
        with pytest.raises(Stopped):
            prepared(texts, **(SETTINGS | settings))
    return texts[0].parents[1] / "corpus"


def edited(path: Path) -> None:
    """The same size and time, another content."""
    status = path.stat()
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-3] + "?" + text[-2:], encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("change", ["file", "new file", "order", "setting", "tokenizer", "library", "renamed"])
def test_nothing_is_used_where_anything_has_changed(
    prepared: Prepare,
    texts: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    tokenizer: Tokenizer,
    vocabulary: Path,
    change: str,
    finished: bool,
) -> None:
    folder = prepared(texts, **SETTINGS).folder if finished else stop_after(monkeypatch, prepared, texts, 3)
    changed: dict[str, Any] = dict(SETTINGS)
    told = "in another order"
    if change == "file":
        edited(texts[2])
        told = "'2.txt' has changed"
    elif change == "new file":
        texts.append(texts[0].with_name("3.txt"))
        texts[3].write_text("Good people.\n")
        told = "'3.txt' is new"
    elif change == "order":
        texts.reverse()
    elif change == "setting":
        changed["shard_tokens"] = 900
        told = "shard_tokens was 700, is 900"
    elif change == "tokenizer":
        changed["tokenizer"] = Tokenizer.load(vocabulary, lower_case=False)
        told = "another tokenizer"
    elif change == "library":
        monkeypatch.setattr("bertworks.data.corpus.recipe.version", lambda name: "99")
        told = "tokenizers was '0."
    else:
        texts[1] = texts[1].rename(texts[1].with_name("one.txt"))
        told = "'1.txt' is gone; 'one.txt' is new"
    watcher = Watcher()
    corpus = prepared(texts, watcher=watcher, **changed)
    assert len(watcher.messages) == 1
    assert "nothing of it is used" in watcher.messages[0]
    assert told in watcher.messages[0]
    assert files_of(corpus.folder) == files_of(prepared(texts, "fresh", **changed).folder)
    assert corpus.folder == folder


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "record", "foreign record"])
def test_damaged_shards_are_made_again(
    prepared: Prepare, texts: list[Path], straight: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    folder = stop_after(monkeypatch, prepared, texts, 4)
    shard, record = folder / "train-00002.safetensors", folder / "unfinished" / "segment-00002.json"
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-1])
    elif damage == "flipped":
        data = bytearray(shard.read_bytes())
        data[-7] ^= 1
        shard.write_bytes(data)
    elif damage == "gone":
        shard.unlink()
    elif damage == "record":
        record.write_text("{")
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "key": "other"}))
    watcher = Watcher()
    corpus = prepared(texts, watcher=watcher, **SETTINGS)
    assert watcher.messages == [message for message in watcher.messages if "going on behind 2 finished" in message]
    assert files_of(corpus.folder) == straight


def test_a_damaged_finished_corpus_is_made_again(prepared: Prepare, texts: list[Path], straight: dict[str, bytes]) -> None:
    corpus = prepared(texts, **SETTINGS)
    (corpus.folder / "train-00001.safetensors").unlink()
    watcher = Watcher()
    assert files_of(prepared(texts, watcher=watcher, **SETTINGS).folder) == straight
    assert "damaged" in watcher.messages[0]


def test_what_an_earlier_corpus_had_more_is_removed(prepared: Prepare, texts: list[Path], tokenizer: Tokenizer) -> None:
    many = prepared(texts, **SETTINGS)
    few = prepared(texts[:1], shard_tokens=5000)
    assert len(few.shards) < len(many.shards)
    assert {path.name for path in few.folder.glob("*.safetensors")} == {shard.file for shard in few.shards.written}
    assert content(few.shards) == slowly(tokenizer, DOCUMENTS[:60])


def test_a_file_that_changes_while_it_is_read(prepared: Prepare, texts: list[Path]) -> None:
    class Editor(Watcher):
        def encoded(self, documents: int, tokens: int) -> None:
            os.utime(texts[2], ns=(time.time_ns(), time.time_ns()))

    with pytest.raises(DataError, match=r"2\.txt' changed while it was read"):
        prepared(texts, watcher=Editor())
    texts[1].unlink()
    with pytest.raises(DataError, match=r"1\.txt"):
        prepared(texts)


def test_folders_of_others_are_not_touched(prepared: Prepare, texts: list[Path], tmp_path: Path) -> None:
    for output in ("in", "in/0.txt"):
        with pytest.raises(SettingsError, match=r"not empty and holds no corpus|is a file"):
            prepared(texts, output)
    (tmp_path / "empty").mkdir()
    assert len(prepared(texts, "empty").shards) == 1


def test_two_preparations_never_work_in_one_folder(prepared: Prepare, texts: list[Path], tmp_path: Path) -> None:
    held = RunLock(tmp_path / "corpus", doing="prepared")
    with pytest.raises(SettingsError, match=rf"corpus is being prepared by process {os.getpid()} on .+: wait until it has ended"):
        prepared(texts)
    held.release()
    assert len(prepared(texts).shards) == 1
    assert not (tmp_path / "corpus" / LOCK).exists()
