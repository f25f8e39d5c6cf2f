"""Threads, forked processes and imports, each in a fresh interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tokenization.conftest import write_vocabulary

FORK = """
import os, sys
from bertworks.tokenization import Tokenizer
tokenizer = Tokenizer.load(sys.argv[1])
expected = tokenizer.encode_batch(["the dog"] * 500)[7][0].ids.tolist()
child = os.fork()
if child == 0:
    found = tokenizer.encode_batch(["the dog"] * 500)[7][0].ids.tolist()
    os._exit(0 if found == expected and os.environ["TOKENIZERS_PARALLELISM"] == "false" else 1)
os.system("true")
status = os.waitpid(child, 0)[1]
print(os.waitstatus_to_exitcode(status), os.environ["TOKENIZERS_PARALLELISM"])
"""


def run(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"} | variables
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=True
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_processes_neither_warn_nor_hang(tmp_path: Path) -> None:
    done = run(FORK, str(write_vocabulary(tmp_path)))
    assert (done.stdout, done.stderr) == ("0 true\n", "")
    done = run(FORK, str(tmp_path), TOKENIZERS_PARALLELISM="false")
    assert (done.stdout, done.stderr) == ("0 false\n", "")


def test_torch_and_transformers_are_not_imported() -> None:
    run("import sys, bertworks.tokenization; assert not {'torch', 'transformers'} & set(sys.modules)")
