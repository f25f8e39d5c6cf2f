"""The run folder: what stands in it, and what becomes of it when it is cut off anywhere."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bertworks.checkpoints.leftovers import sibling
from bertworks.errors import SettingsError
from bertworks.training.run import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"training": {"epochs": 2.0, "patience": None}})


def steps(run: RunFolder) -> list[int]:
    return [json.loads(line)["step"] for line in (run.path / "log.jsonl").read_text().splitlines()]


def test_settings_are_stored_without_what_was_left_open(run: RunFolder) -> None:
    assert tomllib.loads((run.path / "config.toml").read_text()) == {"training": {"epochs": 2.0}}


def test_a_run_is_not_overwritten(run: RunFolder) -> None:
    with pytest.raises(SettingsError, match=r"already holds a run: resume it \(--resume\), choose another folder, or delete it"):
        RunFolder.create(run.path, {})


def test_a_run_may_be_begun_in_a_folder_that_exists(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    RunFolder.create(tmp_path, {})
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_log_is_read_line_by_line(run: RunFolder) -> None:
    for step in (1, 2, 3):
        run.log({"kind": "train", "step": step, "loss": 0.5})
    assert steps(run) == [1, 2, 3], "each line is on its way at once"
    run.close()
    run.log({"kind": "train", "step": 4})
    assert steps(run) == [1, 2, 3, 4]
    run.close()


@pytest.mark.parametrize("cut", ['{"kind": "train", "st', '{"kind": "train", "step": 2}', ""])
def test_trimming_drops_later_steps_and_what_was_cut_off(run: RunFolder, cut: str) -> None:
    lines = [{"kind": kind, "step": step} for step in (1, 2, 3, 4) for kind in ("train", "validation")]
    (run.path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + cut)
    run.trim_log(2)
    assert steps(run) == [1, 1, 2, 2]
    run.trim_log(0)
    assert steps(run) == []


def test_trimming_a_log_that_is_not_there(run: RunFolder) -> None:
    run.trim_log(5)
    assert steps(run) == []


def test_the_newest_checkpoint_comes_first(run: RunFolder) -> None:
    assert run.latest_checkpoint() is None
    for step in (2, 10, 9):
        run.checkpoint(step).mkdir()
    (run.path / "checkpoints" / ".step-00000012.new-1-0123456789abcdef0123").mkdir()
    (run.path / "checkpoints" / "step-notes").mkdir()
    assert run.checkpoints() == [run.checkpoint(10), run.checkpoint(9), run.checkpoint(2)]
    assert run.latest_checkpoint() == run.checkpoint(10)


def test_what_is_not_kept_goes_whole(run: RunFolder) -> None:
    for step in (2, 3, 4, 5):
        run.checkpoint(step).mkdir()
        (run.checkpoint(step) / "state.json").write_text("{}")
    run.drop_checkpoints(keep=[run.checkpoint(5), run.checkpoint(3)])
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["step-00000003", "step-00000005"]


def test_opening_finishes_what_a_killed_process_began(run: RunFolder) -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    dead, token = int(child.stdout), sibling(run.path, "tmp").name.rsplit("-", 1)[1]
    for step, kind in ((4, "tmp"), (6, "new"), (8, "old")):
        folder = run.path / "checkpoints" / f".step-{step:08d}.{kind}-{dead}-{token}"
        folder.mkdir()
        (folder / "state.json").write_text(kind)
    (run.path / f".log.jsonl.tmp-{dead}-{token}").touch()
    run.open(print)
    assert run.checkpoints() == [run.checkpoint(8), run.checkpoint(6)], "what was complete is there again"
    assert not list(run.path.rglob(".*")), "and what was not is gone"


def test_tensorboard_gets_the_numbers(run: RunFolder) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run.log({"kind": "train", "step": 3, "loss": 0.5})
    run.log({"kind": "validation", "step": 3, "accuracy": 0.75, "headline": "accuracy"})
    run.close()
    events = accumulator.EventAccumulator(str(run.path / "events"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["train/loss", "validation/accuracy"]
    (event,) = events.Scalars("validation/accuracy")
    assert (event.step, event.value) == (3, 0.75)


def test_tensorboard_does_not_show_what_a_killed_session_wrote_later(run: RunFolder) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for resumed, steps in ((0, (1, 2, 3, 4)), (2, (3, 4, 5))):
        run.trim_log(resumed)
        for step in steps:
            run.log({"kind": "train", "step": step, "loss": 10.0 * resumed + step})
        run.close()
    events = accumulator.EventAccumulator(str(run.path / "events"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 1), (2, 2), (3, 23), (4, 24), (5, 25)]


def test_without_tensorboard_the_log_is_written_all_the_same(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    for step in (1, 2):
        run.log({"kind": "train", "step": step, "loss": 0.5})
    run.close()
    assert steps(run) == [1, 2]
    assert not (run.path / "events").exists()
