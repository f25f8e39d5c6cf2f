"""The run folder: what stands in it, and what becomes of it when it is cut off anywhere."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

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


def make_checkpoint(run: RunFolder, step: int, *, whole: bool = True) -> Path:
    folder = run.checkpoint(step)
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    if whole:
        (folder / "state.json").write_text("{}")
    return folder


def test_the_latest_checkpoint_is_the_newest_that_is_whole(run: RunFolder) -> None:
    assert run.latest_checkpoint() is None
    for step in (2, 10, 9):
        make_checkpoint(run, step)
    make_checkpoint(run, 11, whole=False)
    (run.path / "checkpoints" / ".step-00000012.new-1-0123456789abcdef0123").mkdir()
    assert run.latest_checkpoint() == run.checkpoint(10)


def test_two_checkpoints_are_kept_and_nothing_of_the_others(run: RunFolder) -> None:
    make_checkpoint(run, 1, whole=False)  # its removal was cut off
    for step in (2, 3, 4, 5):
        make_checkpoint(run, step)
    run.best.mkdir()
    run.drop_old_checkpoints()
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["best", "step-00000004", "step-00000005"]


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


def test_without_tensorboard_the_log_is_written_all_the_same(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run.log({"kind": "train", "step": 1, "loss": 0.5})
    run.close()
    assert steps(run) == [1]
    assert not (run.path / "events").exists()
