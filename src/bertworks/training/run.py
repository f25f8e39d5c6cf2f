"""The run folder: settings, log, checkpoints and the finished model of one training.

config.toml     the settings, complete, as they were resolved
log.jsonl       a line every few steps and one for each evaluation
events/         the same for TensorBoard, where it is installed
checkpoints/    step-00000120/ … and best/
model/          the finished model (a Hugging Face folder)
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import tomli_w

from bertworks.checkpoints.atomic import atomic_write
from bertworks.errors import SettingsError

_KEPT_CHECKPOINTS = 2


class RunFolder:
    """Paths and small files of a run. All paths inside are relative, so the folder can be moved anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._log: TextIO | None = None
        self._events: Any = None

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best"

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any], *, replace: bool = False) -> "RunFolder":
        """Begins a run. Raises `SettingsError` where the folder already holds one, unless `replace` (a run that is
        resumed, but was interrupted before its first checkpoint, begins anew)."""
        run = cls(path)
        if (run.path / "config.toml").exists() and not replace:
            raise SettingsError(f"{path} already holds a run: resume it (--resume), choose another folder, or delete it")
        (run.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        atomic_write(run.path / "config.toml", tomli_w.dumps(_without_none(settings)).encode())
        return run

    def checkpoint(self, step: int) -> Path:
        return self.path / "checkpoints" / f"step-{step:08d}"

    def latest_checkpoint(self) -> Path | None:
        """The newest complete checkpoint, or None."""
        return max(self._checkpoints(), default=None)

    def drop_old_checkpoints(self) -> None:
        """Keeps the newest two; removes older ones, and what is left of one whose removal was cut off."""
        kept = sorted(self._checkpoints())[-_KEPT_CHECKPOINTS:]
        for old in self._step_folders():
            if kept and old < kept[0]:
                shutil.rmtree(old, ignore_errors=True)

    def _checkpoints(self) -> list[Path]:
        return [folder for folder in self._step_folders() if (folder / "state.json").exists()]

    def _step_folders(self) -> list[Path]:
        return [p for p in (self.path / "checkpoints").glob("step-*") if re.fullmatch(r"step-\d+", p.name)]

    # ---- the log

    def trim_log(self, step: int) -> None:
        """Drops the lines of steps after `step`: a resumed run writes them again."""
        path = self.path / "log.jsonl"
        kept = [line for line in _complete_lines(path) if json.loads(line)["step"] <= step]
        atomic_write(path, "".join(line + "\n" for line in kept).encode())

    def log(self, record: Mapping[str, Any]) -> None:
        """Appends a line; `record` must have a `step`."""
        if self._log is None:
            self._log = (self.path / "log.jsonl").open("a", encoding="utf-8")
        self._log.write(json.dumps(record) + "\n")
        self._log.flush()
        self._write_events(record)

    def _write_events(self, record: Mapping[str, Any]) -> None:
        if self._events is None:
            self._events = _event_writer(self.path / "events", int(record["step"]))
        if self._events:
            for name, value in record.items():
                if name != "step" and isinstance(value, int | float):
                    self._events.add_scalar(f"{record.get('kind', 'train')}/{name}", value, record["step"])

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
        if self._events:
            self._events.close()
        self._log = self._events = None


def _event_writer(folder: Path, step: int) -> Any:
    """TensorBoard's writer, which hides what an interrupted session wrote from `step` on; False where not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    return SummaryWriter(str(folder), purge_step=step)


def _complete_lines(path: Path) -> list[str]:
    """The lines of a log; a last line that a kill cut off is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: an absent key means that nothing was set."""
    return {k: _without_none(v) if isinstance(v, Mapping) else v for k, v in values.items() if v is not None}
