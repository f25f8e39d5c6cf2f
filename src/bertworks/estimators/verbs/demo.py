"""`demo`: the main job, from labelled reviews to a prediction, offline."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.data.embedded import REVIEWS
from bertworks.estimators import runs
from bertworks.estimators.train_report import TrainReport
from bertworks.estimators.verbs.evaluate import EvaluationReport, evaluate
from bertworks.estimators.verbs.predict import predict
from bertworks.estimators.verbs.train import train
from bertworks.training.distributed import alone
from bertworks.training.progress import Progress

TEXT = "This movie is fantastic!"
EPOCHS = 6.0
"""Enough for these few reviews, and under three minutes on two cores."""


@dataclass(frozen=True)
class DemoReport:
    """What the demo did."""

    training: TrainReport
    test: EvaluationReport
    """Metrics on reviews that the model has never seen."""
    prediction: Any
    """The `Prediction` for one text."""
    seconds: float

    @property
    def next_steps(self) -> list[str]:
        """What to try next."""
        name = runs.quoted(self.training.folder)
        return [
            f'bertworks predict {name} "Your own sentence."',
            f"bertworks evaluate {name} {runs.quoted(REVIEWS)} --split test",
            "bertworks train your.csv --text TEXT_COLUMN --label LABEL_COLUMN",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {
            "training": self.training.to_dict(),
            "test": self.test.to_dict(),
            "prediction": self.prediction.to_dict(),
            "seconds": self.seconds,
        }


def demo(output: str | Path = "runs/demo", *, progress: Progress | None = None, **settings: Any) -> DemoReport:
    """Fine-tunes the default encoder on the embedded reviews, evaluates it on their test part, and predicts one text.

    Where `output` exists, the next free name is taken. `settings` are those of `train` (`epochs`, `model` …).
    """
    alone()
    started = time.perf_counter()
    folder = runs.free_name(Path(output), numbered=False)
    options: dict[str, Any] = {"epochs": EPOCHS, "evaluations_per_epoch": 0.5, "log_steps": 2, **settings}
    training = train(REVIEWS, split="train", text="text", label="label", output=folder, progress=progress, **options)
    places = {name: options[name] for name in ("device", "precision", "threads") if name in options}
    test = evaluate(folder, REVIEWS, split="test", text="text", label="label", **places)
    prediction = predict(folder, TEXT, **places).predictions[0]
    return DemoReport(training, test, prediction, time.perf_counter() - started)
