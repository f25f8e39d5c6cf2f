"""Several trainings that differ in their seed only: the best model is kept, and the spread is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bertworks.estimators import row_results, runs
from bertworks.estimators.train_report import SeedResult, TrainReport, telling_what_is_left, told_of, write_files
from bertworks.training.progress import Progress


def train_seeds(folder: Path, train: Callable[[Path, int], TrainReport], first: int, count: int, progress: Progress | None) -> TrainReport:
    """Trains with the seeds from `first` on, each in a folder of its own; `train` reads a training that is finished, goes on with
    one that was begun, or begins it. Returns the report of the whole, whose model is the best one's."""
    reports: list[TrainReport] = []
    results: list[SeedResult] = []
    for seed in range(first, first + count):
        one = folder / f"seed-{seed}"
        if progress is not None:
            progress.facts("seed", [f"{seed} ({seed - first + 1} of {count})"])
        with told_of(folder, one):
            report = train(one, seed)
        reports.append(report)
        results.append(SeedResult(seed, one, float((report.metrics or {})[report.headline])))
    best = max(zip(results, reports, strict=True), key=lambda pair: pair[0].score)[1]
    with telling_what_is_left(folder):
        for name in (row_results.FILE, runs.INSPECTION):
            if (best.folder / name).exists():  # vectors have no answers
                runs.copy_file(best.folder / name, folder / name)
        runs.copy_model(best.model, folder / "model")
    seconds = sum(report.seconds for report in reports)
    whole = replace(best, folder=folder, seeds=results, seconds=seconds, steps=sum(report.steps for report in reports), was_finished=False)
    write_files(whole)
    return whole
