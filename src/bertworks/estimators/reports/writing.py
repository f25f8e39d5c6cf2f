"""A run's report, written into its folder: report.html, which is whole by itself, and report.md with its pictures."""

from pathlib import Path

from bertworks.checkpoints.atomic import atomic_folder, atomic_write
from bertworks.estimators.reports.blocks import Picture
from bertworks.estimators.reports.charts.drawing import render
from bertworks.estimators.reports.palettes import DARK, LIGHT
from bertworks.estimators.reports.rendering import to_html, to_markdown
from bertworks.estimators.reports.run_record import RunRecord, read_run
from bertworks.estimators.reports.sections import build

HTML, MARKDOWN, PICTURES = "report.html", "report.md", "report"


def write_report(folder: str | Path, run: RunRecord | None = None) -> list[Path]:
    """Writes report.html and report.md anew, from what the run folder holds (`run`, where it was read already); returns their paths.

    What is not there is left out, so a run that is not finished has a report too. The same files give the same bytes.
    Raises `CheckpointError` where the folder is no run folder, a file in it is damaged, or it cannot be written to.
    """
    path = Path(folder)
    run = run or read_run(path)
    sections = build(run)
    pictures = [block for section in sections for block in section.blocks if isinstance(block, Picture)]
    drawings = {picture.name: (render(picture, LIGHT), render(picture, DARK)) for picture in pictures}
    with atomic_folder(path / PICTURES, replace=True) as writing:
        for name, (light, _) in drawings.items():
            (writing / f"{name}.svg").write_bytes(light.svg)
    title, subtitle = run.name, _subtitle(run)
    atomic_write(path / MARKDOWN, to_markdown("report.md.jinja", title=title, subtitle=subtitle, sections=sections).encode())
    atomic_write(path / HTML, to_html(title, subtitle, sections, drawings).encode())
    return [path / HTML, path / MARKDOWN]


def _subtitle(run: RunRecord) -> str:
    task = str(run.model.get("task") or "").replace("_", " ")
    return f"Report of a training · {task}" if task else "Report of a training"
