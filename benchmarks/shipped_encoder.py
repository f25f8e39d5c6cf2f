"""Makes the encoder that bertworks ships, from text to the folder in the package, and writes its card.

    python -m benchmarks.shipped_encoder wikipedia.txt.xz imdb/train.parquet --teacher MODEL    # an hour and a half of two cores
    python -m benchmarks.shipped_encoder --stsb stsb/dev.csv    # how its vectors follow people's judgements, without training
    python -m benchmarks.shipped_encoder --stsb stsb/dev.csv --stsb-train stsb/train.csv    # … and after training (five seeds)
    python -m benchmarks.shipped_encoder --card                 # only the card, from the JSON of benchmarks/results

The first command trains the tokenizer, prepares the corpus, runs the recipes `bertworks-mini` and `bertworks-mini-512`, and writes
the model in float16 to src/bertworks/pretrained/bertworks-mini. Everything in between is kept in the folder `--work`: given again, it
goes on where it was interrupted. What the runs told goes to benchmarks/results/shipped_encoder.json; what the model is worth is
measured by

    bertworks probe bertworks-mini --data DATA --seeds 5 --json > benchmarks/results/shipped_encoder_probe.json
"""

import argparse
import json
import tomllib
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.shipped_encoder_card import TRAINED, examples, write_card
from bertworks import SentenceEncoder
from bertworks.checkpoints.files import read_json
from bertworks.checkpoints.toml_files import read_toml
from bertworks.data.corpus.corpus import Corpus
from bertworks.data.text_data import read_texts
from bertworks.estimators.convert import convert
from bertworks.estimators.pretraining.config import PretrainingConfig
from bertworks.estimators.pretraining.run import pretrain
from bertworks.estimators.probing.tasks import SETTINGS
from bertworks.estimators.progress import TerminalProgress
from bertworks.estimators.workflows import prepare_corpus, train_tokenizer
from bertworks.pretrained import DEFAULT, shipped
from bertworks.recipes import recipe_text
from bertworks.training.progress import Progress

NAME = "shipped_encoder"
SEEDS, SIMILARITY_EPOCHS = range(5), 5
VOCABULARY = 16_384
HELD_OUT = 0.01
"""Share of the documents that nobody trains on."""
SHARD_TOKENS = 1_000_000
PARTS = (DEFAULT, f"{DEFAULT}-512")
"""The recipes, one after the other."""


def make(texts: list[Path], teacher: str, work: Path, progress: Progress | None = None) -> Path:
    """The finished model's folder; what is there already is not made again."""
    if not (work / "tokenizer").exists():
        train_tokenizer(texts, output=work / "tokenizer", vocabulary_size=VOCABULARY, lower_case=True)
    options: dict[str, Any] = {"deduplicate": "exact", "held_out": HELD_OUT, "shard_tokens": SHARD_TOKENS}
    prepare_corpus(texts, work / "tokenizer", work / "corpus", **options)
    model = work
    for part in PARTS:
        run = work / part
        config = PretrainingConfig.from_dict(configuration(part, teacher, work, model))
        if not run.exists():
            pretrain(config, output=run, progress=progress)
        elif config.describes(PretrainingConfig.from_dict(read_toml(run / "config.toml")["pretraining"])):
            pretrain(resume=run, progress=progress)
        else:
            raise SystemExit(f"{run} holds a run of another recipe or teacher: choose another folder, or delete it")
        model = run / "model"
    return model


def configuration(part: str, teacher: str, work: Path, model: Path) -> dict[str, Any]:
    """The recipe with the folders of this machine."""
    config = tomllib.loads(recipe_text(part))
    config["corpus"]["path"] = str((work / "corpus").absolute())
    config["objectives"]["distillation"]["teacher"] = teacher
    if "start" in config["model"]:
        config["model"]["start"] = str(model.absolute())
    return config


def told(work: Path) -> dict[str, Any]:
    """What the runs told: of each part its figures and its curve on held-out text."""
    parts = []
    for part in PARTS:
        lines = [json.loads(line) for line in (work / part / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        logged = [(line["step"], line["tokens"]) for line in lines if line["kind"] == "train"]
        evaluated = [line for line in lines if line["kind"] == "validation"]
        # evaluations stand between the steps that are logged
        tokens = np.interp([line["step"] for line in evaluated], *zip(*logged, strict=True)).astype(int).tolist()
        curve = [{**line, "tokens": read} for line, read in zip(evaluated, tokens, strict=True)]
        metrics = read_json(work / part / "metrics.json")
        parts.append({"recipe": part, **metrics, "curve": [{k: v for k, v in point.items() if k != "kind"} for point in curve]})
    totals = Corpus.open(work / "corpus").shards.totals
    return {
        "command": "python -m benchmarks.shipped_encoder TEXTS --teacher MODEL",
        "corpus": {"documents": totals.documents, "tokens": totals.tokens},
        "parts": parts,
        "machine": machine.environment(),
    }


def similarity(stsb: Path) -> dict[str, Any]:
    """Spearman's correlation on the STS benchmark of the encoder as it is, by the ways to make one vector of a text."""
    pairs, scores = scored_pairs(stsb)
    found = {}
    for pooling in ("mean", "cls"):
        encoder = SentenceEncoder(pooling=pooling, precision="float32", progress=False)
        found[pooling] = encoder.score(pairs, scores)
    return {"command": "python -m benchmarks.shipped_encoder --stsb stsb/dev.csv", "rows": len(pairs), "spearman": found}


def trained_similarity(train: Path, stsb: Path, threads: int | None) -> dict[str, Any]:
    """The same after training on scored pairs, by the settings of the probe; the weights of the last step are judged."""
    settings = {**SETTINGS, "epochs": SIMILARITY_EPOCHS}
    runs = []
    for seed in SEEDS:
        encoder = SentenceEncoder(objective="scores", seed=seed, threads=threads, progress=False, **settings)
        encoder.fit(*scored_pairs(train))
        runs.append({"seed": seed, "spearman": encoder.score(*scored_pairs(stsb)), "precision": encoder.machine_.precision})
        machine.log(f"trained on scored pairs: {runs[-1]}")
    values = [run["spearman"] for run in runs]
    return {
        "command": "python -m benchmarks.shipped_encoder --stsb stsb/dev.csv --stsb-train stsb/train.csv",
        "settings": settings,
        "runs": runs,
        "spearman": {"values": values, "mean": mean(values), "standard_deviation": stdev(values)},
        "machine": machine.environment(),
    }


def scored_pairs(path: Path) -> tuple[list[tuple[str, str]], list[Any]]:
    """Pairs of texts and how alike they are."""
    read = read_texts(path, kind="number")
    return list(zip(read.texts, read.pairs or [], strict=True)), list(read.labels or [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="*", help="text files to pretrain on")
    parser.add_argument("--teacher", default="sentence-transformers/all-MiniLM-L6-v2", help="model folder or hub name of the teacher")
    parser.add_argument("--work", type=Path, default=machine.ROOT / "runs" / "shipped-encoder", help="everything in between")
    parser.add_argument("--output", type=Path, default=shipped(), help="the model's folder")
    parser.add_argument("--stsb", type=Path, help="the dev rows of the STS benchmark: only measure on them, and write the card anew")
    parser.add_argument("--stsb-train", type=Path, help="with --stsb: train on these rows first, with five seeds")
    parser.add_argument("--threads", type=int, help="with --stsb-train: torch threads (default: torch's choice)")
    parser.add_argument("--card", action="store_true", help="only write the card anew")
    arguments = parser.parse_args()
    if arguments.stsb_train and not arguments.stsb:
        parser.error("--stsb-train needs --stsb, the rows that are judged")
    if arguments.stsb_train:
        machine.write_result(machine.RESULTS, TRAINED, trained_similarity(arguments.stsb_train, arguments.stsb, arguments.threads))
    elif arguments.stsb:
        machine.write_result(machine.RESULTS, f"{NAME}_similarity", similarity(arguments.stsb))
    elif not arguments.card:
        model = make(arguments.texts, arguments.teacher, arguments.work, TerminalProgress())
        convert(model, arguments.output, dtype="float16", replace=True)
        machine.write_result(machine.RESULTS, NAME, {**told(arguments.work), "examples": examples(arguments.output)})
    write_card(arguments.output, machine.RESULTS)


if __name__ == "__main__":
    main()
