"""Run folders of each kind, as they are and with some of their files changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertworks.estimators.reports import write_report
from tests.estimators.reports.finished_runs import NAMES, parts_of_a_run, write_run

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run folder of a kind, with some of its files changed or (None) left out."""

    def make(kind: str = "single", names: tuple[str, ...] = NAMES, folder: str = "reviews-1", **changed: Any) -> Path:
        parts = parts_of_a_run(kind, names) | {name.replace("__", "/").replace("_", "."): content for name, content in changed.items()}
        return write_run(tmp_path / folder, parts)

    return make


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run of a kind with its report, for tests that only look at it."""
    done: dict[str, Path] = {}

    def write(kind: str) -> Path:
        if kind not in done:
            done[kind] = write_run(tmp_path_factory.mktemp("runs") / "reviews-1", parts_of_a_run(kind))
            write_report(done[kind])
        return done[kind]

    return write
