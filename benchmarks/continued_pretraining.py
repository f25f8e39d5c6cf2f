"""What it is worth to go on pretraining on one's own texts before fine-tuning on few labels (Sun et al. 2019; Gururangan et al. 2020).

    python -m benchmarks.continued_pretraining --data ag_news/train_10k.csv --test ag_news/test.csv --text description --label label
    python -m benchmarks.continued_pretraining --data imdb/train.parquet --test imdb/test.parquet --test-limit 2000 --passes 1

The texts of the training file, without their labels, are the domain: the recipe `continue` goes on with the encoder that bertworks ships
for some passes over them. Then both encoders are fine-tuned on the same few labelled rows, drawn anew with every seed, with the same
settings, and judged by the same test rows. Held-out texts tell how much better the domain's words are guessed (`bertworks evaluate`).
"""

import argparse
import statistics
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from bertworks import TextClassifier
from bertworks.data.text_data import TextData, read_texts
from bertworks.estimators.pretraining.evaluation import evaluate
from bertworks.estimators.pretraining.run import pretrain
from bertworks.estimators.workflows import prepare_corpus
from bertworks.pretrained import DEFAULT, shipped
from bertworks.recipes import recipe_text

NAME = "continued_pretraining"
HELD_OUT = 0.05
LEARNING_RATE = 1e-4
"""Of the further pretraining: what the recipe names for a small encoder."""
FINE_TUNING: dict[str, Any] = {
    "epochs": 20,
    "learning_rate": 2e-4,
    "batch_size": 16,
    "dropout": 0.1,
    "overflow": "truncate",
    "max_tokens": 256,
}


def go_on(texts: list[str], passes: float, folder: Path, threads: int | None) -> dict[str, Any]:
    """Pretrains further, and says how the held-out texts are guessed before and after.

    Of these texts most have one sentence or two, so hidden words are all that is learnt; the model that such a pretraining leaves has no
    pooler. That there be nothing else between the two, "before" is what a single step leaves, at a rate at which nothing is learnt.
    """
    (folder / "texts.txt").write_text("".join(f"{' '.join(text.split())}\n\n" for text in texts), encoding="utf-8")
    corpus = prepare_corpus([folder / "texts.txt"], shipped(), folder / "corpus", lines="paragraphs", held_out=HELD_OUT)
    config = tomllib.loads(recipe_text("continue"))
    del config["objectives"]["next_sentence"]
    config["corpus"] |= {"path": str(folder / "corpus"), "cross_documents": True}
    config["model"]["start"] = str(shipped())
    steps = round(passes * corpus.shards.totals.tokens / (config["training"]["batch_size"] * config["corpus"]["max_tokens"]))
    out = {}
    for name, own in (
        ("before", {"steps": 1, "learning_rate": 1e-12}),
        ("after", {"steps": max(1, steps), "learning_rate": LEARNING_RATE}),
    ):
        training = {**config["training"], **own, "evaluations": 1, "threads": threads}
        report = pretrain({**config, "training": training}, output=folder / name)
        effort = {"tokens": report.tokens, "seconds": report.seconds} if name == "after" else {"tokens": 0, "seconds": 0.0}
        out[name] = {"model": report.model, "metrics": evaluate(report.model, folder / "corpus", threads=threads).metrics, **effort}
    return out


def accuracy(model: Path, train: TextData, test: TextData, rows: np.ndarray, seed: int, threads: int | None) -> float:
    """After fine-tuning on some rows."""
    labels = train.labels or []
    classifier = TextClassifier(model, seed=seed, threads=threads, progress=False, **FINE_TUNING)
    classifier.fit([train.texts[i] for i in rows], [labels[i] for i in rows])
    return classifier.score(test.texts, test.labels or [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training rows")
    parser.add_argument("--test", type=Path, required=True, help="rows to judge by")
    parser.add_argument("--text", help="column of the text")
    parser.add_argument("--label", help="column of the label")
    parser.add_argument("--rows", type=int, default=100, help="labelled rows to fine-tune on")
    parser.add_argument("--test-limit", type=int, help="at most so many rows to judge by")
    parser.add_argument("--passes", type=float, default=5, help="over the unlabelled texts")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int)
    machine.output_option(parser)
    arguments = parser.parse_args()
    seeds, passes, most = arguments.seeds, arguments.passes, arguments.test_limit
    if arguments.quick:
        seeds, passes, most = [0], 0.01, 50
    columns: dict[str, Any] = {"text": arguments.text, "label": arguments.label, "kind": "single"}
    train = read_texts(arguments.data, **columns)
    test = read_texts(arguments.test, limit=most, **columns)
    options = {"data": arguments.data.name, "test": arguments.test.name, "text": arguments.text, "label": arguments.label}
    options |= {"rows": arguments.rows, "test_limit": most, "passes": passes, "seeds": seeds, "threads": arguments.threads}
    content: dict[str, Any] = {
        "command": machine.command_line(NAME, [], options),
        "model": DEFAULT,
        "texts": len(train.texts),
        "rows": arguments.rows,
        "judged": len(test.texts),
        "fine_tuning": FINE_TUNING,
        "machine": machine.facts(),
    }
    with tempfile.TemporaryDirectory() as folder:
        encoders = go_on(list(train.texts), passes, Path(folder), arguments.threads)
        content["pretraining"] = {name: {key: value for key, value in told.items() if key != "model"} for name, told in encoders.items()}
        results: dict[str, list[float]] = {name: [] for name in encoders}
        for seed in seeds:
            rows = np.random.default_rng(seed).choice(len(train.texts), arguments.rows, replace=False)
            for name, encoder in encoders.items():
                start = time.perf_counter()
                results[name].append(accuracy(encoder["model"], train, test, rows, seed, arguments.threads))
                machine.log(f"seed {seed}, {name}: {results[name][-1]:.4f} ({time.perf_counter() - start:.0f} s)")
            written = {**content, "accuracy": results, "gain": gain(results)}
            machine.write_result(machine.output_folder(arguments), f"{NAME}_{arguments.data.parent.name}", written)


def gain(accuracies: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """What "after" has more than "before", seed by seed."""
    each = [after - before for before, after in zip(accuracies["before"], accuracies["after"], strict=True)]
    return {"mean": statistics.mean(each), "std": statistics.stdev(each) if len(each) > 1 else None, "by_seed": each}


if __name__ == "__main__":
    main()
