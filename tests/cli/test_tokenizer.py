"""`bertworks tokenizer train` and `inspect`."""

import gzip
import json
from pathlib import Path

import pytest

from bertworks.tokenization import Tokenizer
from tests.conftest import make_reviews

from .conftest import Bertworks


@pytest.fixture
def texts(work: Path) -> Path:
    """A folder with the same texts as lines and, compressed, as rows."""
    folder = work / "corpus"
    folder.mkdir()
    lines = [*make_reviews(200, seed=3)[0], "naïve café"]
    (folder / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(json.dumps({"id": 1, "review": line}) for line in lines).encode()))
    (work / "other.txt").write_text("\n".join(make_reviews(40, seed=4)[0]) + "\nxenon ☃\n", encoding="utf-8")
    return folder


def test_train_and_inspect(bertworks: Bertworks, texts: Path) -> None:
    done = bertworks("tokenizer", "train", texts, "--vocab-size", 300, "--held-out", "other.txt", "-o", "tok")
    assert done.code == 0, done.err
    for told in (
        "tokenizer → tok",
        "WordPiece, uncased, accents stripped, Chinese characters apart",
        "300 tokens: 5 special, ",
        "2 files, 402 documents",
        "training text  held-out text",
        "tokens a word",
        "how words are cut",
        "☃",
    ):
        assert told in done.out
    names = {"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "tokenizer_report.json", "vocab.txt"}
    assert {path.name for path in Path("tok").iterdir()} == names
    tokenizer = Tokenizer.load("tok")
    assert tokenizer.vocabulary_size == 300
    told = bertworks("tokenizer", "inspect", "tok", "other.txt")
    assert told.code == 0, told.err
    assert "this text" in told.out
    found = bertworks("tokenizer", "inspect", "tok", "other.txt", "--json").json["texts"]
    lines = Path("other.txt").read_text(encoding="utf-8").splitlines()
    assert found["tokens"] == sum(len(tokenizer.encode(line)) - 2 for line in lines)
    assert found["words"] == sum(len(line.split()) for line in lines)
    assert found["unknown_words"][-1]["word"] == "☃"
    report = json.loads(Path("tok/tokenizer_report.json").read_text(encoding="utf-8"))
    assert report["held_out"]["tokens"] == found["tokens"]
    assert report["settings"]["vocabulary_size"] == 300


def test_json_and_the_next_free_folder(bertworks: Bertworks, texts: Path) -> None:
    arguments = ("tokenizer", "train", texts, "--kind", "bpe", "--vocab-size", 320, "--special-tokens", "bert", "--json")
    report = bertworks(*arguments).json
    assert report["output"] == str(Path("runs/tokenizer-1"))
    assert report["special_tokens"] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert report["pieces"] == 320 - 261
    assert report["read"]["documents"] == 402
    assert bertworks(*arguments).json["output"] == str(Path("runs/tokenizer-2"))
    assert Path("runs/tokenizer-1/tokenizer_report.json").read_bytes() == Path("runs/tokenizer-2/tokenizer_report.json").read_bytes()
    assert Path("runs/tokenizer-1/merges.txt").exists()


def test_options_reach_the_settings(bertworks: Bertworks, texts: Path) -> None:
    flags = ("--cased", "--strip-accents", "--no-chinese", "--limit-alphabet", 40, "--minimum-frequency", 3, "--multiple-of", 64)
    told = bertworks("tokenizer", "train", texts / "a.txt", *flags, "--vocabulary-size", 200, "-o", "tok", "--json").json
    assert told["settings"] == {
        "kind": "wordpiece",
        "vocabulary_size": 200,
        "lower_case": False,
        "strip_accents": True,
        "chinese_characters": False,
        "special_tokens": "bert",
        "limit_alphabet": 40,
        "minimum_frequency": 3,
        "multiple_of": 64,
    }
    assert told["vocabulary_size"] == 256
    assert Tokenizer.load("tok").encode("NAÏVE").tokens == Tokenizer.load("tok").encode("NAIVE").tokens


def test_columns_units_and_damage(bertworks: Bertworks, texts: Path) -> None:
    Path("damaged.txt").write_bytes(b"one caf\xe9\ntwo\n\nthree\n")
    Path("rows.jsonl").write_text('{"title": "a", "body": "b c"}\n{"title": "a"}\n', encoding="utf-8")
    files = ("damaged.txt", "rows.jsonl", "--text", "body", "--unit", "paragraph", "--on-bad-rows", "drop", "--on-bad-bytes", "replace")
    told = bertworks("tokenizer", "train", *files, "-o", "tok", "--json").json
    assert (told["read"]["documents"], told["read"]["undecodable_bytes"], told["read"]["dropped"]) == (3, 1, {"no text": 1})
    notes = "\n".join(told["notes"])
    for part in (
        "fewer than asked for",
        "1 bytes that are no text replaced by \ufffd, the first in damaged.txt, line 1",
        "1 rows dropped: no text",
    ):
        assert part in notes


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["train", "nowhere.txt"], 3, "'nowhere.txt' does not exist"),
        (["train", "*.text"], 3, "no file matches '*.text'"),
        (["train", "corpus", "--held-out", "othr.txt"], 3, "Did you mean 'other.txt'?"),
        (["train", "corpus", "--held-out", "corpus/*.txt"], 3, "is to be trained on and held out"),
        (["train", "corpus", "--vocab-size", "20"], 2, "single characters"),
        (["train", "corpus", "--kind", "bpe", "--vocab-size", "20"], 2, "vocabulary_size must be 261 at least"),
        (["train", "corpus", "--kind", "unigram"], 2, "kind must be one of wordpiece, bpe, not 'unigram'"),
        (["train", "corpus", "-o", "corpus"], 4, "'corpus' exists already: choose another folder, such as corpus-2"),
        (["train", "empty.txt"], 3, "there is no text in the files that were read (1)"),
        (["train", "latin.txt"], 3, "latin.txt, line 2: byte 0xe9 at offset 7"),
        (["train", "corpus", "--unit", "lines"], 2, "Did you mean 'line'?"),
        (["train"], 2, "missing argument 'files'"),
        (["trian", "corpus"], 2, "no such command: trian. Did you mean train? See: bertworks tokenizer --help"),
        (["train", "corpus", "--vocab-sise", "3"], 2, "no such option: --vocab-sise. Did you mean --vocab-size?"),
        (["inspect", "nowhere", "other.txt"], 4, "no tokenizer at nowhere"),
        (["inspect", "corpus", "other.txt"], 4, "no tokenizer in corpus"),
    ],
)
def test_one_line_says_what_is_wrong(bertworks: Bertworks, texts: Path, arguments: list[str], code: int, told: str) -> None:
    Path("empty.txt").write_text("\n \n", encoding="utf-8")
    Path("latin.txt").write_bytes(b"one\ncaf\xe9\n")
    done = bertworks("tokenizer", *arguments)
    assert (done.code, told in done.error) == (code, True), done.err
    assert not Path("runs").exists()


def test_help(bertworks: Bertworks) -> None:
    assert "inspect" in bertworks("tokenizer", "--help").out
    helped = bertworks("tokenizer", "train", "--help").out
    for option in ("--vocabulary-size", "--uncased", "--held-out", "--limit-alphabet", "--multiple-of", "--on-bad-bytes"):
        assert option in helped
    assert max(map(len, helped.splitlines())) <= 80
    assert "tokenizer" in bertworks("--help").out


def test_no_torch_is_loaded(texts: Path, work: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom bertworks.cli.main import run\n"
        "assert run(['tokenizer', 'train', 'corpus', '-o', 'tok', '--json']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=work, check=False)
    assert done.returncode == 0, done.stderr
