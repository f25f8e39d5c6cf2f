"""The run folder: settings, log, checkpoints and the finished model of one training.

config.toml     the settings, complete, as they were resolved
command.json    what the run was begun with, where torchrun did: it may be begun again
log.jsonl       a line every few steps and one for each evaluation
events/         the same for TensorBoard, where it is installed
checkpoints/    step-00000120/ …, the newest two, each with the best weights up to its step
model/          the finished model (a Hugging Face folder)
generator/      that of replaced-token detection, likewise
teacher.safetensors  what a teacher said of the training data, where there is one
run.lock        while a process trains here
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bertworks.checkpoints.atomic import atomic_write, explained, recover_all, require_writable
from bertworks.checkpoints.leftovers import throw_away
from bertworks.checkpoints.lock import RunLock
from bertworks.checkpoints.toml_files import toml_text
from bertworks.errors import CheckpointError, SettingsError, TrainingError
from bertworks.training.events import Events

FIT = "fit"
"""The verb of runs that an estimator's `fit` begins: no command knows their data."""


class RunFolder:
    """Paths and small files of a run. All paths inside are relative, so the folder can be moved anywhere.

    It is locked from `create` or `open` to `close`.
    """

    def __init__(self, path: Path, *, verb: str = "train", launcher: str = "") -> None:
        self.path = Path(path)
        self._verb, self._launcher = verb, launcher
        self._lock: RunLock | None = None
        self._log: BinaryIO | None = None
        self._events: Events | None = None
        self._writes_events = True
        self._first_step = 0
        self._tell: Callable[[str], None] = _silent

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def log_file(self) -> Path:
        return self.path / "log.jsonl"

    @classmethod
    def require_new(cls, path: Path) -> None:
        """Raises `SettingsError` where the folder already holds a run."""
        run = cls(path)
        if (run.path / "config.toml").exists() or run.latest_checkpoint() is not None:
            raise SettingsError(f"{path} already holds a run: resume it (--resume), choose another folder, or delete it")

    @classmethod
    def create(
        cls, path: Path, settings: Mapping[str, Any], *, replace: bool = False, verb: str = "train", launcher: str = ""
    ) -> "RunFolder":
        """Writes the settings of a run that begins; `verb` is the command that goes on with it (or `FIT`), and `launcher` what
        stands before it where several processes do. Checkpoints that stand in the folder stay.

        Raises `SettingsError` where the folder already holds a run, unless `replace` (a run that is resumed, but was
        interrupted before its first checkpoint, begins anew), and where another process trains there.
        """
        run = cls(path, verb=verb, launcher=launcher)
        if not replace:
            cls.require_new(path)
        run._lock = RunLock(run.path)
        try:
            atomic_write(run.path / "config.toml", toml_text(settings).encode())
            (run.path / "checkpoints").mkdir(exist_ok=True)
        except BaseException:
            run.close()
            raise
        return run

    def can_be_resumed(self) -> bool:
        """Whether its settings and a checkpoint are there."""
        return (self.path / "config.toml").exists() and self.latest_checkpoint() is not None

    def open(self, tell: Callable[[str], None]) -> None:
        """Locks the folder, removes what killed processes left in it, and makes sure that it can be written to.

        `tell` gets a line about whatever is not as it should be, now and later. Raises `SettingsError` where another
        process trains here, `CheckpointError` where the folder cannot be written to.
        """
        self._tell = tell
        self._lock = self._lock or RunLock(self.path)
        if self._lock.note is not None:
            tell(self._lock.note)
        for target in (self.model, self.checkpoint(0)):
            require_writable(target)
            recover_all(target.parent)

    def close(self) -> None:
        """Closes the log and unlocks the folder."""
        for file in (self._log, self._events):
            if file is not None:
                file.close()
        if self._lock is not None:
            self._lock.release()
        self._lock = self._log = self._events = None

    def require_in_place(self) -> None:
        """Raises `TrainingError` where the folder was moved or deleted while the training went on."""
        if self._lock is not None and not self._lock.holds():
            raise TrainingError(
                f"{self.path} was moved or deleted while it was trained in: the training stopped. What was kept so far goes "
                f"on where the folder is now: {way_on('NEW_PLACE', self._verb, self._launcher)}"
            )

    # ---- checkpoints

    def checkpoint(self, step: int) -> Path:
        return self.path / "checkpoints" / f"step-{step:08d}"

    def checkpoints(self) -> list[Path]:
        """All checkpoints, the newest first; each was written whole, but may have been damaged since."""
        found = (path for path in (self.path / "checkpoints").glob("step-*") if re.fullmatch(r"step-\d+", path.name))
        return sorted(found, reverse=True)

    def latest_checkpoint(self) -> Path | None:
        """The newest checkpoint, or None."""
        return next(iter(self.checkpoints()), None)

    def drop_checkpoints(self, *, keep: list[Path]) -> None:
        """Removes all checkpoints but those."""
        for old in self.checkpoints():
            if old not in keep:
                throw_away(old, old)

    @contextmanager
    def saying_how_to_go_on(self) -> Iterator[None]:
        """Adds to an error of the disk what is kept all the same, and the command that goes on from there."""
        try:
            yield
        except CheckpointError as error:
            raise TrainingError(f"{error}. {self.kept()}") from error

    def kept(self) -> str:
        """What of the training is on the disk, and how to go on from there, in a sentence."""
        newest = self.latest_checkpoint()
        if newest is None:
            return f"No checkpoint was written yet; begin again with: {self.command}"
        return f"All up to step {int(newest.name.removeprefix('step-'))} is kept; go on with: {self.command}"

    @property
    def command(self) -> str:
        """What resumes this run."""
        return way_on(self.path, self._verb, self._launcher)

    # ---- the log

    def trim_log(self, step: int) -> None:
        """Drops the lines of steps after `step`: a resumed run writes them again. Lines that cannot be read go too."""
        text = self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()  # a last line that a kill cut off is left out
        steps = [_step_of(line) for line in lines]
        kept = [f"{line}\n" for line, at in zip(lines, steps, strict=True) if at is not None and at <= step]
        atomic_write(self.log_file, "".join(kept).encode())
        self._first_step = step + 1
        if None in steps:
            self._tell(f"{self.log_file}: {steps.count(None)} of {len(steps)} lines were damaged, and are dropped")
        if step and not lines:
            self._tell(f"{self.log_file} is missing or empty: it begins anew after step {step}")
        if lines and not step:
            self._tell(f"{self.path} has no checkpoint: the training begins anew")

    def log(self, record: Mapping[str, Any]) -> None:
        """Appends a line; `record` must have a `step`. Raises `TrainingError` where the disk refuses it."""
        line = json.dumps(record).encode() + b"\n"
        with self.saying_how_to_go_on(), explained(self.log_file, len(line)):
            if self._log is None:
                self._log = open(self.log_file, "ab", buffering=0)  # noqa: SIM115 - see close
            while line:
                line = line[self._log.write(line) :]
        self._write_events(record)

    def _write_events(self, record: Mapping[str, Any]) -> None:
        """They only repeat the log: where they cannot be written the training goes on."""
        values = {f"{record.get('kind', 'train')}/{name}": v for name, v in record.items() if name != "step" and isinstance(v, int | float)}
        try:
            if self._events is None and self._writes_events:
                self._events = Events(self.path / "events", self._first_step)
            if self._events is not None:
                self._events.add(int(record["step"]), values)
        except ImportError:
            self._writes_events = False
        except OSError as error:
            self._writes_events, self._events = False, None
            self._tell(f"TensorBoard's events cannot be written any more ({error.strerror}): log.jsonl holds the same numbers")


def way_on(folder: str | Path, verb: str, launcher: str = "") -> str:
    """What goes on with the run in a folder: a command line, or, where it was begun in Python (`FIT`), what to call there.

    >>> way_on("runs/a b", "train"), way_on("runs/a", FIT)
    ("bertworks train --resume 'runs/a b'", "fit(…, resume=True) with output='runs/a'")
    """
    if verb == FIT:
        return f"fit(…, resume=True) with output={str(folder)!r}"
    return f"{launcher}bertworks {verb} --resume {shlex.quote(str(folder))}"


def _silent(text: str) -> None:
    """Nobody listens."""


def _step_of(line: str) -> int | None:
    """The step that a line of the log is about; None where the line is damaged."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return None
