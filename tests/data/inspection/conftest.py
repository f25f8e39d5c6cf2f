"""Rows with nothing wrong about them, and a short way from rows to findings."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bertworks.data.inspection import Finding, TextRows, inspect_rows

# ruff: noqa: SIM905 - words are read more easily in a line than as a list
PRAISE = "good great lovely fine fresh warm bright kind".split()
BLAME = "bad poor awful cold stale dull rude sour".split()
PLAIN = """the a this that film book soup room hotel train song game was were felt and but with for very rather quite almost in on at from
    morning evening summer winter city village north south teacher driver cook waiter singer we you they found met saw heard""".split()

GoodRows = Callable[..., tuple[list[str], list[str]]]
Findings = Callable[..., dict[str, Finding]]


@pytest.fixture(scope="session")
def good_rows() -> GoodRows:
    """Makes texts that are all different, with the labels 'praise' and 'blame'."""

    def make(rows: int = 200, seed: int = 0) -> tuple[list[str], list[str]]:
        draw = np.random.Generator(np.random.PCG64(seed))
        texts, labels = [], []
        for _ in range(rows):
            praise = bool(draw.integers(2))
            words = [str(word) for word in draw.choice(PLAIN, draw.integers(8, 30))]
            words[draw.integers(1, len(words) - 1)] = str(draw.choice(PRAISE if praise else BLAME))
            texts.append(" ".join(words).capitalize() + ".")
            labels.append("praise" if praise else "blame")
        return texts, labels

    return make


@pytest.fixture(scope="session")
def findings() -> Findings:
    """What is found in rows, by title; `against` is (texts, labels)."""

    def find(texts: Any, labels: Any = None, against: Any = None, **options: Any) -> dict[str, Finding]:
        kind = options.pop("kind", "auto")
        numbers = options.pop("numbers", None)
        rows = TextRows.of(texts, labels, kind=kind, numbers=numbers)
        other = None if against is None else TextRows.of(*against, kind=rows.kind or "auto", name="test.csv")
        found = inspect_rows(rows, other, **options).findings
        assert len({finding.title for finding in found}) == len(found), "no title twice"
        return {finding.title: finding for finding in found}

    return find
