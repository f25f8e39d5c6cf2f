"""What is absurdly large is refused before memory is taken: a process with 100 MB to spare gets the same errors."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import world

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the size of a process is read from /proc")

PROGRAM = """
import json, resource, sys
from pathlib import Path
import bertworks as bw
from bertworks.data.text_data import read_texts
from bertworks.errors import BertworksError

bw.load("model", device="cpu", precision="float32", threads=1).predict(["good"])
read_texts("reviews.csv", text="review")
read_texts("small.csv.gz", text="text", label=False, require_labels=False)
read_texts("small.jsonl", label=False, require_labels=False)
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE,) * 2)
config = json.loads(Path("model/config.json").read_text())
answers = {}
for name, call in CALLS.items():
    try:
        call()
        answers[name] = "no error"
    except BertworksError as error:
        answers[name] = type(error).__name__ + ": " + str(error)
    except BaseException as error:
        answers[name] = type(error).__name__ + "!"
Path("model/config.json").write_text(json.dumps(config))
print(json.dumps(answers))
"""

SIZES = {
    "hidden": {"hidden_size": 10**8, "num_attention_heads": 1},
    "vocabulary": {"vocab_size": 10**8},
    "positions": {"max_position_embeddings": 10**8},
    "layers": {"num_hidden_layers": 1000},
    "width": {"intermediate_size": 10**8},
    "segments": {"type_vocab_size": 10**8},
    "all": dict.fromkeys(("hidden_size", "vocab_size", "max_position_embeddings", "intermediate_size"), 10**8),
}


def calls(where: Path) -> str:
    """What the program does, as Python."""
    lines = ["CALLS = {}"]
    lines += [
        "def sized(**changes):",
        "    Path('model/config.json').write_text(json.dumps({**config, **changes}))",
        "    bw.load('model')",
    ]
    lines += [f"CALLS[{name!r}] = lambda: sized(**{changes!r})" for name, changes in SIZES.items()]
    lines += [f"CALLS[{name!r}] = lambda: bw.load({name!r})" for name in ("many labels", "big json", "id")]
    lines += [f"CALLS[{name!r}] = lambda: read_texts({name!r}, label=False, require_labels=False)" for name in files_of(where)]
    return "\n".join(lines)


def files_of(where: Path) -> list[str]:
    return sorted(path.name for path in where.iterdir() if path.name.startswith("bomb"))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> dict[str, str]:
    where = world.build(tmp_path_factory.mktemp("memory") / "world")
    (where / "small.csv.gz").write_bytes(gzip.compress(b"text\na\n"))
    (where / "small.jsonl").write_text('{"text": "a"}\n')
    (where / "bomb.csv.gz").write_bytes(gzip.compress(b"text\n" + b"a" * 200_000_000, 6))
    (where / "bomb.jsonl.gz").write_bytes(gzip.compress(b'{"text": [' + b"[]," * 60_000_000 + b"[]]}\n", 6))
    with open(where / "bomb.csv", "wb") as stream:
        stream.truncate(1 << 40)
    for name in ("many labels", "big json", "id"):
        world.copy(where / "model", where / name)
    (where / "many labels" / "bertworks.json").unlink()
    edit(where / "many labels" / "config.json", id2label=None, num_labels=10**12)
    with open(where / "big json" / "config.json", "wb") as stream:
        stream.truncate(1 << 40)
    tokenizer = json.loads((where / "id" / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["?"] = 2**32 - 1
    (where / "id" / "tokenizer.json").write_text(json.dumps(tokenizer))
    program = PROGRAM.replace("SPARE", str(100_000_000)).replace("answers = {}", f"{calls(where)}\nanswers = {{}}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "BERTWORKS_CACHE": str(where / ".cache")}
    done = subprocess.run([sys.executable, "-c", program], cwd=where, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hidden", "not fit the model"),
        ("vocabulary", "not fit the model"),
        ("positions", "not fit the model"),
        ("layers", "1,000 layers, but the weights hold 25 tensors"),
        ("width", "not fit the model"),
        ("segments", "not fit the model"),
        ("all", "not fit the model"),
        ("many labels", "'num_labels' must be a whole number from 1"),
        ("big json", "is larger than 64.0 MB"),
        ("id", "an id of 4,294,967,295"),
    ],
)
def test_models(answers: dict[str, str], name: str, told: str) -> None:
    assert answers[name].startswith("CheckpointError: ")
    assert told in answers[name]


@pytest.mark.parametrize("name", ["bomb.csv.gz", "bomb.jsonl.gz", "bomb.csv"])
def test_data(answers: dict[str, str], name: str) -> None:
    assert answers[name].startswith(f"DataError: '{name}' holds more than ")
    assert "split the file" in answers[name]
