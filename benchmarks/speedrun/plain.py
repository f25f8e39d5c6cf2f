"""The plain recipe: what users of `transformers` run. Padded batches (all sequences are full, so nothing is lost by it),
dropout 0.1, AdamW as it comes, bfloat16 autocast, scores of all tokens."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speedrun.task import LENGTH, VOCABULARY, Course
from bertworks.tasks.masked_lm import MASKED_LM


def train(course: Course, recipe: dict[str, Any], seed: int, output: Path) -> dict[str, Any]:
    """Trains BertForMaskedLM and saves it; returns seconds and tokens of the training."""
    import transformers

    torch.manual_seed(seed)
    shape, training = recipe["model"], recipe["training"]
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape["hidden"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        intermediate_size=4 * shape["hidden"],
    )
    model = transformers.BertForMaskedLM(config).train()
    steps, rows = training["steps"], training["batch_size"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=training["learning_rate"], weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(training["warmup"] * steps), steps)
    sequences, objective = course.sequences(seed), course.objective(seed)
    tokens, started = 0, time.perf_counter()
    for step in range(steps):
        batch, word_starts = sequences.take(np.arange(step * rows, (step + 1) * rows))
        batch = objective.prepare(batch, word_starts)
        inputs = {
            "input_ids": torch.from_numpy(batch.to_padded()),
            "attention_mask": torch.from_numpy(batch.to_padded(np.ones(batch.tokens, dtype=np.int64))),
            "labels": torch.from_numpy(batch.to_padded(batch.token_targets[MASKED_LM], fill=-100)),
        }
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        tokens += batch.tokens
    seconds = time.perf_counter() - started
    model.save_pretrained(output / "model")
    course.tokenizer.save(output / "model")
    assert tokens <= steps * rows * LENGTH
    return {"seconds": seconds, "tokens": tokens}
