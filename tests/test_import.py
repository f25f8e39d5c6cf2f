"""`import bertworks` and `bertworks --help` are light, and every public name is where the package says."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bertworks

HEAVY = ("torch", "sklearn", "scipy", "pandas", "polars", "pyarrow", "datasets", "transformers", "sentence_transformers", "tensorboard")
SECONDS = 0.3
HELP = """
import sys
from bertworks.cli.main import main
sys.argv = ["bertworks", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
"""


PUBLIC = [
    "Encoder",
    "EntityRecognizer",
    "FeatureExtractor",
    "FewShotClassifier",
    "MaskFiller",
    "MultipleChoice",
    "NextSentence",
    "PackedBatch",
    "QuestionAnswerer",
    "SentenceEncoder",
    "TextClassifier",
    "TextGenerator",
    "Tokenizer",
    "VectorIndex",
    "__version__",
    "answer",
    "compare",
    "convert",
    "cross_validate",
    "demo",
    "doctor",
    "embed",
    "evaluate",
    "features",
    "generate",
    "inspect",
    "learning_curve",
    "load",
    "mine",
    "predict",
    "prepare_corpus",
    "pretrain",
    "probe",
    "rank",
    "report",
    "search",
    "train",
    "train_tokenizer",
    "tune",
    "zero_shot",
]
"""What others may rely on: a name that goes, or comes, is a change to be told."""


def run(code: str) -> str:
    """The last line that a fresh interpreter prints."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip().splitlines()[-1]


def timed(code: str, attempts: int = 5) -> float:
    """Processor seconds that the code takes in a fresh interpreter after its own start; the least of several attempts.

    A busy machine does not change them, so this does not fail for want of a free core.
    """
    wrapped = f"import time; start = time.process_time()\n{code}\nprint(); print(time.process_time() - start)"
    return min(float(run(wrapped)) for _ in range(attempts))


@pytest.mark.parametrize("code", ["import bertworks, bertworks.errors; dir(bertworks)", HELP], ids=["import", "help"])
def test_nothing_heavy_is_loaded(code: str) -> None:
    loaded = run(f"{code}\nimport sys; print(); print(sorted(m for m in {HEAVY} if m in sys.modules))")
    assert loaded == "[]"


@pytest.mark.parametrize("code", ["import bertworks", HELP], ids=["import", "help"])
def test_it_takes_a_moment(code: str) -> None:
    assert timed(code) < SECONDS


def test_the_public_names_are_those_that_were_promised() -> None:
    assert bertworks.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_loads(name: str) -> None:
    value = getattr(bertworks, name)
    assert getattr(bertworks, name) is value
    assert getattr(value, "__doc__", None)


def test_names_are_the_same_everywhere() -> None:
    """The table, `__all__`, `dir()` and what editors and mypy read agree."""
    table = bertworks._HOMES
    assert sorted([*table, "__version__"]) == bertworks.__all__ == dir(bertworks)
    tree = ast.parse(Path(bertworks.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == table


def test_a_wrong_name_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'TextClasifier'\. Did you mean 'TextClassifier'\?"):
        _ = bertworks.TextClasifier
    with pytest.raises(ImportError):
        exec("from bertworks import Unheard")
    assert not hasattr(bertworks, "__wrapped__")


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert version("bertworks") == bertworks.__version__
