"""Folders of answerers and `transformers`, both ways: the same scores of first and last tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bertworks as bw
from bertworks import QuestionAnswerer
from bertworks.data.question_examples import QuestionExample
from bertworks.tasks.question_windows import HEAD

QUESTION, CONTEXT = "what is good?", "the film was Lovely and the soup was cold."


def scores_here(answerer: QuestionAnswerer) -> np.ndarray:
    batch = answerer.task_.encode([QuestionExample(QUESTION, CONTEXT)], answerer.tokenizer_).batch
    return np.asarray(answerer._scores(batch)[HEAD])


def scores_there(model: Any, folder: Path) -> np.ndarray:
    transformers = pytest.importorskip("transformers")
    inputs = transformers.AutoTokenizer.from_pretrained(folder)(QUESTION, CONTEXT, return_tensors="pt")
    with torch.inference_mode():
        found = model.eval()(**inputs)
    return torch.stack([found.start_logits[0], found.end_logits[0]], dim=1).numpy()


def test_transformers_loads_what_is_saved_here(fitted_answerer: Callable[..., QuestionAnswerer], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    answerer = fitted_answerer()
    folder = answerer.save(tmp_path / "model")
    model, told = transformers.AutoModelForQuestionAnswering.from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert scores_there(model, folder) == pytest.approx(scores_here(answerer), abs=1e-4)


def test_what_transformers_saves_loads_here(fitted_answerer: Callable[..., QuestionAnswerer], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    first = fitted_answerer(False).save(tmp_path / "first")
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(first)
    model.save_pretrained(tmp_path / "second")
    transformers.AutoTokenizer.from_pretrained(first).save_pretrained(tmp_path / "second")
    assert not (tmp_path / "second" / "bertworks.json").exists()
    loaded = bw.load(tmp_path / "second", precision="float32")
    assert isinstance(loaded, QuestionAnswerer)
    assert (loaded.task_.unanswerable, loaded.task_.max_tokens) == (False, 64)
    assert scores_here(loaded) == pytest.approx(scores_there(model, first), abs=1e-4)
    assert loaded.answer(QUESTION, CONTEXT).text == "Lovely"
