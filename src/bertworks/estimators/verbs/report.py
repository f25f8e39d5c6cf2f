"""`report`: a run's report, and the card of its model, written anew from what the run folder holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.errors import CheckpointError
from bertworks.estimators.reports import read_run, write_model_card, write_report


@dataclass(frozen=True)
class WrittenReport:
    """What was written."""

    folder: Path
    """The run folder."""
    files: list[Path]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {"folder": str(self.folder), "files": [str(file) for file in self.files]}


def report(run: str | Path, *, card: bool = False) -> WrittenReport:
    """Writes report.html and report.md of a run, be it finished or not; with `card` also its model's README.md.

    The card is written only when asked for, since people add to theirs by hand. Raises `CheckpointError` where the
    folder is no run folder, a file in it is damaged, or a card is wanted and there is no model yet.
    """
    folder = Path(run)
    files = write_report(folder)
    if card:
        if not (folder / "model").is_dir():
            raise CheckpointError(f"the run '{folder}' has no model yet, so there is nothing to write a card for: leave out the card")
        files.append(write_model_card(folder / "model", read_run(folder)))
    return WrittenReport(folder, files)
