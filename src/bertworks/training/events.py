"""Numbers of a training for TensorBoard.

Each is written at once, by the thread that logs it: TensorBoard's own writer has a thread of its own, in which a full disk
goes unnoticed until the end, and the writer of torch.utils.tensorboard takes seconds to import.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Events:
    """An event file of one session. What an interrupted session wrote from `step` on is hidden by it.

    Raises `ImportError` where tensorboard is not installed, `OSError` where the disk refuses.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = Event
        seconds, rest = divmod(time.time_ns(), 10**9)
        folder.mkdir(parents=True, exist_ok=True)
        self._stream = open(folder / f"events.out.tfevents.{seconds:010d}.{rest:09d}", "xb", buffering=0)  # noqa: SIM115 - see close
        self._records = RecordWriter(self._stream)
        self._write(Event(file_version="brain.Event:2", wall_time=time.time()))
        self._write(Event(session_log=SessionLog(status=SessionLog.START), step=step, wall_time=time.time()))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the numbers of a step, by their tags."""
        summary = {"value": [{"tag": tag, "simple_value": float(value)} for tag, value in values.items()]}
        self._write(self._event(summary=summary, step=step, wall_time=time.time()))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())

    def close(self) -> None:
        self._stream.close()
