"""Run folders with everything in them that a report can show, of each kind of labels, without any training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from bertworks.accounting import Accounting
from bertworks.evaluation import ClassificationMetrics, Metrics, MultiLabelMetrics, RegressionMetrics

NAMES = ("negative", "neutral", "positive")
ROWS = 200
STEPS = 60
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> | *bold* [link](javascript:alert(1)) `code`\n# heading"
"""A text that is markup wherever it is not escaped."""


def classified(names: tuple[str, ...], rows: int, hit_rate: float, seed: int) -> ClassificationMetrics:
    """Metrics of answers of which about so many are right."""
    draws = np.random.default_rng(seed)
    targets = draws.integers(len(names), size=rows)
    answers = np.where(draws.random(rows) < hit_rate, targets, draws.integers(len(names), size=rows))
    scores = draws.normal(0, 0.5, (rows, len(names)))
    scores[np.arange(rows), answers] += draws.uniform(1, 4, rows)
    exponents = np.exp(scores)
    metrics = ClassificationMetrics(names)
    metrics.update(targets, exponents / exponents.sum(axis=1, keepdims=True))
    return metrics


def measured(kind: str, hit_rate: float = 0.9, seed: int = 0, names: tuple[str, ...] = NAMES, rows: int = ROWS) -> dict[str, Any]:
    """All metrics of a kind, with intervals of plausible width."""
    draws = np.random.default_rng(seed)
    metrics: Metrics
    if kind == "single":
        metrics = classified(names, rows, hit_rate, seed)
    elif kind == "multi":
        truth = draws.random((rows, len(names))) < 0.4
        right = np.where(truth, draws.uniform(0.5, 1, truth.shape), draws.uniform(0, 0.5, truth.shape))
        metrics = several = MultiLabelMetrics(names)
        several.update(truth, np.where(draws.random(truth.shape) < hit_rate, right, 1 - right))
    else:
        truth = draws.normal(50, 20, rows)
        metrics = numbers = RegressionMetrics()
        numbers.update(truth, truth + draws.normal(0, 20 * (1.05 - hit_rate), rows))
    values = metrics.compute()
    headline = metrics.headline
    half = 1.96 * np.sqrt(max(0.0, values[headline] * (1 - values[headline])) / rows)
    values["intervals"] = {headline: [values[headline] - half, min(1.0, values[headline] + half)]}
    return values


def log_lines(headline: str, final: float, steps: int = STEPS, between: int = 10) -> list[dict[str, Any]]:
    """A training whose loss falls and whose main metric rises, and falls a little at the very end."""
    lines: list[dict[str, Any]] = []
    for step in range(2, steps + 1, 2):
        rate = 1e-4 * min(step / 6, (steps - step) / (steps - 6))
        line = {"kind": "train", "step": step, "steps": steps, "epoch": step / 20, "loss": 1.1 * np.exp(-step / 20) + 0.05 * np.cos(step)}
        lines.append({**line, "learning_rate": rate, "gradient_norm": 0.5, "tokens": 300 * step, "tokens_per_second": 2000.0 + step})
        if step % between == 0:
            value = final if step == steps - between else final * (1 - 0.4 * np.exp(-step / 15)) - 0.01
            lines.append({"kind": "validation", "step": step, "rows": ROWS, headline: float(value), "log_loss": 1.2 * np.exp(-step / 30)})
    return lines


def mistakes(kind: str) -> list[dict[str, Any]]:
    """Rows that the model got wrong, one of them an attack."""
    texts = ["The soup was cold.\nThe bill was not.", HOSTILE, "ليس سيئا على الإطلاق", "word " * 200]
    if kind == "number":
        return [{"row": 3 + i, "text": text, "label": 40.0 + i, "prediction": 71.25, "error": 31.25 - i} for i, text in enumerate(texts)]
    label, prediction = ("negative", "positive") if kind == "single" else (["negative", "neutral"], [])
    fields = {"label": label, "prediction": prediction}
    return [{"row": 3 + i, "text": text, "pair": "A second text.", **fields, "confidence": 0.99 - i / 100} for i, text in enumerate(texts)]


def inspection(labels: Mapping[str, int] | None) -> dict[str, Any]:
    """What an inspection of the data may have found."""
    lengths = {"edges": [0, 8, 16, 24, 32, 40], "counts": [120, 600, 700, 250, 130], "mean": 18.4, "median": 17.0, "p95": 36.0}
    findings = [
        {"level": "note", "title": "Short texts", "message": "12 texts have fewer than three words.", "rows": list(range(40))},
        {"level": "warning", "title": "Repeated texts", "message": "4 texts stand there twice.", "rows": [3, 9, 12, 20]},
        {"level": "error", "title": "Contradictions", "message": "2 equal texts have different labels.", "rows": [5, 8]},
    ]
    return {"findings": findings, "labels": labels, "lengths": {**lengths, "longest": 39, "limit": 36, "over_limit": 47}, "rows": 1800}


def parts_of_a_run(kind: str = "single", names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """The files of a finished run by name: dictionaries, and a list for the log."""
    headline = {"single": "accuracy", "multi": "micro_f1", "number": "spearman"}[kind]
    values = measured(kind, names=names)
    baselines: dict[str, Any] = {"TF-IDF + logistic regression": {**measured(kind, 0.7, 1, names), "note": "words and pairs of words"}}
    if kind != "number":
        baselines["majority class"] = {"rows": ROWS, headline: 0.4, "intervals": {headline: [0.33, 0.47]}}
    before = {"log_loss": 0.41, "expected_calibration_error": 0.09}
    calibration = {"temperature": 1.3, "before": before, "after": {"log_loss": 0.36, "expected_calibration_error": 0.03}}
    labels = {name: 900 // (i + 1) for i, name in enumerate(names)}
    seen = Accounting(rows=1800, sequences=1846, tokens=33_120, windowed_rows=23, unknown_tokens=14)
    seen.dropped["empty text"] += 3
    held = Accounting(rows=ROWS, sequences=ROWS, tokens=3_704, truncated_rows=2, truncated_tokens=31)
    settings = {"kind": kind, "labels": [] if kind == "number" else list(names), "pairs": False, "max_tokens": 36, "overflow": "window"}
    settings |= {"thresholds": [0.4 + i / 10 for i in range(len(names))] if kind == "multi" else None}
    training = {"epochs": 3.0, "batch_size": 32, "learning_rate": 1e-4, "precision": "float32", "device": "cpu", "threads": 2}
    best = {"step": STEPS - 10, headline: values[headline]}
    return {
        "config.toml": {
            "classifier": {"model": "/home/someone/models/bert", "overflow": "window", "new_tokens": ["zorblax"]},
            "training": training,
            "data": {"source": "/home/someone/reviews.csv", "text": "review", "validation_fraction": 0.1, "validation_seed": 0},
        },
        "log.jsonl": log_lines(headline, values[headline]),
        "metrics.json": {
            "headline": headline,
            "validation": values,
            "baselines": baselines,
            "calibration": calibration if kind == "single" else None,
            "mistakes": mistakes(kind),
            "steps": STEPS,
            "seconds": 75.5,
            "pairs": False,
        },
        "accounting.json": {"training": seen.to_dict(), "validation": held.to_dict()},
        "inspection.json": inspection(None if kind == "number" else labels),
        "machine.json": {"processor": "A processor", "torch": "2.13.0"},
        "model/bertworks.json": {
            "bertworks": "0.1.0",
            "task": "text_classification",
            "settings": settings,
            "about": {"rows": 1797, "training": training, "machine": {"device": "cpu", "precision": "float32"}, "validation": best},
        },
        "model/config.json": {"model_type": "bert", "architectures": ["BertForSequenceClassification"]},
    }


def write_run(folder: Path, parts: Mapping[str, Any]) -> Path:
    """Writes the files of a run; one whose content is None is left out."""
    for name, content in parts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            continue
        if name.endswith(".toml"):
            path.write_bytes(tomli_w.dumps(content).encode())
        elif name.endswith(".jsonl"):
            path.write_text("".join(json.dumps(line) + "\n" for line in content), encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
    return folder
