"""Windows and truncation, first as arithmetic, then on texts."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.tokenization import Tokenizer
from bertworks.tokenization.windows import longest_first, pair_windows, select, text_windows
from tests.tokenization.conftest import FAMILIES

QUICK = settings(max_examples=100, deadline=None)


@QUICK
@given(st.integers(0, 400), st.integers(1, 60), st.data())
def test_windows_are_full_cover_all_and_are_few(length: int, room: int, data: st.DataObject) -> None:
    stride = data.draw(st.none() | st.integers(0, room - 1))
    spans = text_windows(length, room, stride)
    assert set().union(*(range(*span) for span in spans)) == set(range(length))
    assert all(end - start == min(room, length) for start, end in spans)
    overlap = room // 4 if stride is None else stride
    assert all(before[1] - after[0] >= overlap and before[0] < after[0] for before, after in pairwise(spans))
    if length > room:
        assert len(spans) == -(-(length - overlap) // (room - overlap))


@QUICK
@given(st.integers(0, 200), st.integers(0, 200), st.integers(2, 60), st.data())
def test_pair_windows_cover_both_texts(first: int, second: int, room: int, data: st.DataObject) -> None:
    stride = data.draw(st.none() | st.integers(0, room - 1))
    windows = select([first, second], room, "window", stride)
    for number, length in enumerate((first, second)):
        read = [span for window in windows for span in window[number]]
        assert set().union(*(range(*span) for span in read)) == set(range(length))
    assert all(sum(end - start for spans in window for start, end in spans) <= room for window in windows)
    assert len(set(windows)) == len(windows)
    if min(first, second) <= room // 2:
        short = 0 if first <= second else 1
        assert all(window[short] == ((0, (first, second)[short]),) for window in windows)


def test_both_texts_long_are_windowed_in_step() -> None:
    windows = pair_windows(30, 90, 40)
    firsts, seconds = [window[0][0] for window in windows], [window[1][0] for window in windows]
    assert {end - start for start, end in firsts} == {10}
    assert {end - start for start, end in seconds} == {30}
    assert (firsts[0][0], firsts[-1][1], seconds[0][0], seconds[-1][1]) == (0, 30, 0, 90)


def test_head_and_tail_are_those_of_sun_et_al() -> None:
    assert select([1000], 510, "head_tail") == [(((0, 128), (1000 - 382, 1000)),)]
    assert select([1000, 8], 510, "head_tail") == [(((0, 126), (1000 - 376, 1000)), ((0, 8),))]
    assert select([3], 1, "head_tail") == [(((0, 0), (2, 3)),)]


@QUICK
@given(st.integers(0, 50), st.integers(0, 50), st.integers(2, 60))
def test_longest_first_takes_tokens_one_by_one_from_the_longer(first: int, second: int, room: int) -> None:
    kept = [first, second]
    while sum(kept) > room:
        longer = 0 if kept[0] > kept[1] or (kept[0] == kept[1] and first <= second) else 1
        kept[longer] -= 1
    assert longest_first(first, second, room) == kept


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_of_texts(family: str, small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small(family)
    text, pair = "the dogs, New York " * 13, "the dog running"
    whole = tokenizer.encode(text, pair)
    windows = tokenizer.encode_batch([text], [pair], max_tokens=40, stride=5)[0]
    assert len(windows) > 2
    seen: dict[int, tuple[object, ...]] = {}
    for window in windows:
        assert len(window) == 40
        assert window.truncated_tokens == 0
        assert np.count_nonzero(window.sequence_ids < 0) == tokenizer.special_tokens_per_sequence(pair=True)
        for row in zip(
            window.token_numbers, window.sequence_ids, window.ids, window.word_ids, window.offsets.tolist(), window.segment_ids, strict=True
        ):
            if row[1] == 0:
                assert seen.setdefault(int(row[0]), row) == row
    mask = whole.sequence_ids == 0
    assert sorted(seen) == whole.token_numbers[mask].tolist()
    assert [seen[number][2] for number in sorted(seen)] == whole.ids[mask].tolist()
    assert [seen[number][4] for number in sorted(seen)] == whole.offsets[mask].tolist()
    assert all(window.tokens[-3:] == whole.tokens[-3:] for window in windows)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("overflow", ["truncate", "head_tail"])
def test_truncated_tokens_are_counted(family: str, overflow: str, small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small(family)
    texts = ["the dogs " * 20, "the dog", "New York, New York " * 9]
    for text, (encoding,) in zip(texts, tokenizer.encode_batch(texts, max_tokens=16, overflow=overflow), strict=True):
        whole = tokenizer.encode(text)
        assert encoding.truncated_tokens == len(whole) - len(encoding) == max(0, len(whole) - 16)
        if overflow == "head_tail" and len(whole) > 16:
            assert encoding.offsets[encoding.sequence_ids == 0][-1].tolist() == whole.offsets[whole.sequence_ids == 0][-1].tolist()
        assert encoding.ids.tolist() == [
            *whole.ids[: np.argmax(whole.sequence_ids == 0)],
            *whole.ids[whole.sequence_ids == 0][encoding.token_numbers[encoding.sequence_ids == 0]],
            *whole.ids[len(whole) - np.argmax(whole.sequence_ids[::-1] == 0) :],
        ]
