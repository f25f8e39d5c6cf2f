"""What the README shows works as it stands there: its commands and its Python are run, and make knows its targets."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALL = {"--epochs": "1", "--limit": "64"}
"""Added to the command that trains, so that the test takes seconds."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the README's commands name."""
    from bertworks.data.embedded import reviews

    data = reviews("train")
    pairs = list(zip(data.texts, data.labels or [], strict=True))
    for name, rows in (("reviews.csv", pairs[:64]), ("test.csv", pairs[64:96]), ("new.csv", pairs[96:104])):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("review", "sentiment"), *rows])
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text, _ in pairs[:9]), encoding="utf-8")
    return tmp_path


def environment() -> dict[str, str]:
    """The commands of this interpreter come first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}


def test_there_is_something_to_run() -> None:
    assert len(blocks("python")) == 1
    assert len(blocks("sh")) == 1
    assert len(README.splitlines()) <= 60, "one screen"


def test_make_has_the_targets() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(re.findall(r"^    make ([a-z-]+)", README, flags=re.MULTILINE)) <= set(targets)


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists()


@pytest.mark.slow
def test_the_python(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[0]], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'negative' 'positive'" in done.stdout
    assert (folder / "models" / "reviews" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
def test_the_commands(folder: Path) -> None:
    added = " ".join(f"{name} {value}" for name, value in SMALL.items())
    script = blocks("sh")[0].replace("bertworks train reviews.csv", f"bertworks train reviews.csv {added}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "answers.csv").read_text(encoding="utf-8").startswith("review,sentiment,prediction,score\n")
    assert "chosen here" in done.stdout


@pytest.mark.slow
def test_the_python_of_the_page_on_tasks(folder: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        done = subprocess.run([sys.executable, "-c", block], cwd=folder, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
