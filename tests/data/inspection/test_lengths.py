"""Lengths and their histogram."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.inspection import TextRows, inspect_rows
from bertworks.data.inspection.lengths import count_tokens, describe_lengths
from bertworks.tokenization import Tokenizer

from .conftest import GoodRows


@given(st.lists(st.integers(0, 5000) | st.integers(0, 30), min_size=1, max_size=200), st.integers(1, 600))
def test_figures_and_histogram(sizes: list[int], limit: int) -> None:
    found = describe_lengths(np.array(sizes), "tokens", limit)
    assert found.mean == pytest.approx(sum(sizes) / len(sizes))
    assert found.median == pytest.approx(np.median(sizes))
    assert sum(size <= found.p95 for size in sizes) >= 0.95 * len(sizes) - 1
    assert (found.longest, found.over_limit, found.rows) == (max(sizes), sum(size > limit for size in sizes), len(sizes))
    assert found.edges[0] == 0 <= max(sizes) <= found.edges[-1]
    widths = {b - a for a, b in pairwise(found.edges)}
    assert all(width > 0 for width in widths)
    assert len({b - a for a, b in pairwise(found.edges[:-1])}) <= 1
    assert len(found.counts) <= 26
    for number, ((low, high), count) in enumerate(zip(pairwise(found.edges), found.counts, strict=True)):
        last = number == len(found.counts) - 1
        assert count == sum(low <= size < high or (last and size == high) for size in sizes)


def test_tokens_are_those_that_the_model_reads(tiny_tokenizer: Tokenizer, good_rows: GoodRows) -> None:
    texts, _ = good_rows(1500)
    counted = count_tokens(texts, None, tiny_tokenizer)
    assert counted[:, 0].tolist() == [len(tiny_tokenizer.encode(text)) for text in texts]
    assert counted[:, 1].sum() == 0
    pairs = count_tokens(texts[:50], texts[50:100], tiny_tokenizer)
    assert pairs[:, 0].tolist() == [len(tiny_tokenizer.encode(a, b)) for a, b in zip(texts[:50], texts[50:100], strict=True)]


def test_texts_beyond_the_limit(tiny_tokenizer: Tokenizer, good_rows: GoodRows) -> None:
    texts, labels = good_rows(100)
    sizes = [len(tiny_tokenizer.encode(text)) for text in texts]
    limit = int(np.percentile(sizes, 80))
    found = inspect_rows(TextRows.of(texts, labels), tokenizer=tiny_tokenizer, limit=limit, model_name="tiny")
    (finding,) = (finding for finding in found.findings if finding.title == "Longer than the model reads")
    assert finding.count == sum(size > limit for size in sizes)
    assert finding.rows == tuple(i for i, size in enumerate(sizes) if size > limit)[:20]
    assert found.lengths is not None
    assert (found.lengths.unit, found.lengths.limit, found.lengths.over_limit) == ("tokens", limit, finding.count)


def test_words_without_a_tokenizer(good_rows: GoodRows) -> None:
    texts, labels = good_rows(100)
    found = inspect_rows(TextRows.of(texts, labels)).lengths
    assert found is not None
    assert (found.unit, found.limit, found.over_limit) == ("words", None, None)
    assert found.mean == pytest.approx(np.mean([len(text.split()) for text in texts]))
