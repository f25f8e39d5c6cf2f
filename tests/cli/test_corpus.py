"""`bertworks corpus prepare` and `bertworks corpus show`, as a user types them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bertworks.cli.corpus import whole_number
from bertworks.errors import SettingsError
from tests.cli.conftest import Bertworks, Outcome, review_rows
from tests.conftest import VOCABULARY

BERTWORKS = [sys.executable, "-m", "bertworks"]


@pytest.fixture
def texts(work: Path) -> Path:
    """A file of 40 documents of three sentences each, two of which are the same."""
    sentences = [text for text, _ in review_rows(117, seed=7)]
    documents = ["\n".join(sentences[i : i + 3]) for i in range(0, 117, 3)]
    Path("texts.txt").write_text("\n\n".join([*documents, documents[0]]) + "\n")
    Path("tokenizer").mkdir()
    Path("tokenizer", "vocab.txt").write_text("".join(word + "\n" for word in VOCABULARY))
    return work


def prepare(bertworks: Bertworks, *more: object) -> Outcome:
    return bertworks("corpus", "prepare", "texts.txt", "--tokenizer", "tokenizer", "--output", "corpus", "--held-out", 0.2, *more)


def test_prepare_and_show(bertworks: Bertworks, texts: Path) -> None:
    done = bertworks(
        "corpus", "prepare", "texts.txt", "--tokenizer", "tokenizer", "-o", "corpus", "--deduplicate", "exact", "--held-out", 0.2
    )
    assert done.code == 0
    assert done.err == ""
    facts = {line[2:24].strip(): line[25:] for line in done.out.splitlines() if line.startswith("  ")}
    shown = bertworks("corpus", "show", "corpus", "--json").json
    train, held_out = shown["totals"], shown["held_out_totals"]
    assert train["documents"] + held_out["documents"] == 39
    assert held_out["documents"] > 0
    assert facts["training"].startswith(f"{train['documents']} documents, {train['sentences']} sentences, {train['words']:,} words")
    assert facts["held out"].startswith(f"{held_out['documents']} documents, {held_out['sentences']} sentences")
    assert facts["lines"] == "sentences in 1 of 1 files"
    assert "1 documents dropped: the same text as an earlier one" in done.out
    assert "bertworks corpus show corpus --document 0" in done.out
    human = bertworks("corpus", "show", "corpus", "--verify")
    assert "every byte is what was written" in human.out


def test_show_a_document(bertworks: Bertworks, texts: Path) -> None:
    prepare(bertworks)
    first = Path("texts.txt").read_text().split("\n\n")
    shown = bertworks("corpus", "show", "corpus", "--document", 0, "--json").json["document"]
    number = shown["origin"]["number"]
    assert shown["origin"]["file"] == "texts.txt"
    assert shown["sentences"] == [sentence.lower() for sentence in first[number].split("\n")]
    assert (shown["number"], shown["held_out"], shown["shard"]) == (0, False, "train-00000.safetensors")
    last = bertworks("corpus", "show", "corpus", "--document", 39)
    assert "held out; in held-out-00000.safetensors" in last.out
    assert last.out.count("\n  3  ") == 1
    assert bertworks("corpus", "show", "corpus", "--document", 40).error == (
        "error: corpus has 40 documents, numbered from 0: there is no document 40"
    )


def test_json_has_messages_and_speed(bertworks: Bertworks, texts: Path) -> None:
    first = prepare(bertworks, "--json").json
    assert (first["folder"], first["messages"]) == ("corpus", [])
    assert first["seconds"] > 0
    assert json.loads(Path("corpus", "manifest.json").read_text())["key"] == first["key"]
    again = prepare(bertworks, "--json")
    assert again.json["messages"] == ["corpus is finished already: same files, settings and tokenizer"]
    assert "finished already" in again.err
    changed = prepare(bertworks, "--shard-tokens", "1k", "--json").json
    assert changed["messages"] == ["what corpus holds is made anew, nothing of it is used: shard_tokens was 4000000, is 1000"]
    assert len(changed["shards"]) > 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["prepar"], 2, "Did you mean prepare?"),
        (["prepare", "texts.txt", "--tokenizer", "tokenizer"], 2, "--output"),
        (["prepare", "text.txt", "--tokenizer", "tokenizer", "-o", "c"], 3, "Did you mean 'texts.txt'?"),
        (["prepare", "texts.txt", "--tokenizer", "./tokeniser", "-o", "c"], 4, "tokeniser"),
        (["prepare", "texts.txt", "--tokenizer", "texts.txt", "-o", "c"], 4, "no WordPiece vocabulary"),
        (["prepare", "texts.txt", "--tokenizer", "tokenizer", "-o", "tokenizer"], 2, "'tokenizer' is not empty and holds no corpus"),
        (["prepare", "texts.txt", "--tokenizer", "tokenizer", "-o", "c", "--lines", "line"], 2, "sentences, paragraphs, wrapped"),
        (["prepare", "texts.txt", "--tokenizer", "tokenizer", "-o", "c", "--shard-tokens", "many"], 2, "'many' is no whole number"),
        (["prepare", "texts.txt", "--tokenizer", "tokenizer", "-o", "c", "--held-out", "50"], 2, "from 0 to 0.5, not 50.0"),
        (["prepare", "texts.txt", "--tokenizer", "tokenizer", "-o", "c", "--deduplicat", "near"], 2, "Did you mean --deduplicate?"),
        (["show", "texts.txt"], 3, "holds no corpus"),
        (["show", "nothing"], 3, "there is no folder 'nothing'"),
    ],
)
def test_wrong_arguments(bertworks: Bertworks, texts: Path, arguments: list[str], code: int, told: str) -> None:
    done = bertworks("corpus", *arguments)
    assert (done.code, told in done.error) == (code, True), done.err
    assert not Path("c").exists()


def test_numbers() -> None:
    assert [whole_number(text) for text in ("1", "20k", "4M", "0.5m", "1G")] == [1, 20_000, 4_000_000, 500_000, 1_000_000_000]
    for text in ("", "1.5", "-3", "4MB", "k", "0.1k5"):
        with pytest.raises(SettingsError, match="no whole number"):
            whole_number(text)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_and_the_same_command_again(bertworks: Bertworks, texts: Path, environment: dict[str, str]) -> None:
    lines = Path("texts.txt").read_text()
    Path("long.txt").write_text(lines * 1500)
    command = ["corpus", "prepare", "long.txt", "--tokenizer", "tokenizer", "-o", "long", "--shard-tokens", "20k", "--processes", "2"]
    with subprocess.Popen([*BERTWORKS, *command], stdout=-1, stderr=-1, text=True, env=environment, start_new_session=True) as process:
        while process.poll() is None and not list(Path("long").glob("unfinished/segment-*.json")):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes at once
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "stopped; the same command goes on behind the last finished shard of long\n"
    Path("long.txt").write_text(lines)
    changed = bertworks(*command, "--json")
    assert "'long.txt' has changed" in changed.json["messages"][0]
