"""Questions that a tiny model learns in seconds: which word of the context is a good one?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks import QuestionAnswerer
from bertworks.data.question_examples import GoldAnswer, QuestionExample
from tests.conftest import GOOD, PLAIN

SETTINGS: dict[str, Any] = {"epochs": 8, "learning_rate": 0.01, "batch_size": 16, "precision": "float32", "progress": False}


def make_examples(rows: int, seed: int = 0, unanswerable: float = 0.3, length: tuple[int, int] = (4, 12)) -> list[QuestionExample]:
    """Contexts of plain words, with one good word in those that answer the question."""
    draw = np.random.Generator(np.random.PCG64(seed))
    out = []
    for row in range(rows):
        words = [str(word) for word in draw.choice(PLAIN, draw.integers(*length))]
        answers: tuple[GoldAnswer, ...] = ()
        if draw.random() >= unanswerable:
            place = int(draw.integers(len(words)))
            words[place] = str(draw.choice(GOOD)).title()
            answers = (GoldAnswer(words[place], len(" ".join(words[:place])) + (place > 0)),)
        out.append(QuestionExample("what is good?", " ".join(words) + ".", answers, f"{seed}-{row}", f"article {row // 4}"))
    return out


@pytest.fixture(scope="session")
def examples() -> Callable[..., list[QuestionExample]]:
    """Makes examples; see `make_examples`."""
    return make_examples


@pytest.fixture(scope="session")
def make_answerer(tiny_bert: Path) -> Callable[..., QuestionAnswerer]:
    """An unfitted answerer on the tiny model."""
    return lambda **settings: QuestionAnswerer(**{"model": tiny_bert, **SETTINGS, **settings})


@pytest.fixture(scope="session")
def fitted_answerer(make_answerer: Callable[..., QuestionAnswerer]) -> Callable[..., QuestionAnswerer]:
    """An answerer that was trained once, with and without unanswerable questions."""
    done: dict[bool, QuestionAnswerer] = {}

    def fit(unanswerable: bool = True) -> QuestionAnswerer:
        if unanswerable not in done:
            share = 0.3 if unanswerable else 0.0
            done[unanswerable] = make_answerer().fit(make_examples(160, 0, share), validation=make_examples(48, 1, share))
        return done[unanswerable]

    return fit
