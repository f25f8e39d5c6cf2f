"""What an encoding promises, for every family of tokenizers."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors

from bertworks.errors import CheckpointError, DataError, SettingsError
from bertworks.tokenization import Tokenizer
from tests.tokenization.conftest import FAMILIES, unigram

QUICK = settings(max_examples=40, deadline=None)
WORDS = st.lists(st.sampled_from(["the", "dogs", "New", "York", "running", "unable,", "café", "x"]), min_size=1, max_size=15)


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_kinds_and_special_tokens(family: str, small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small(family)
    for encoding, special in ((tokenizer.encode("the dogs"), False), (tokenizer.encode("the dogs", "New York"), True)):
        length = len(encoding)
        assert encoding.ids.shape == encoding.segment_ids.shape == encoding.sequence_ids.shape == encoding.word_ids.shape == (length,)
        assert encoding.offsets.shape == (length, 2)
        assert {
            array.dtype for array in (encoding.ids, encoding.segment_ids, encoding.sequence_ids, encoding.word_ids, encoding.offsets)
        } == {np.dtype(np.int64)}
        marks = encoding.sequence_ids == -1
        assert marks.sum() == tokenizer.special_tokens_per_sequence(pair=special)
        assert set(encoding.ids[marks].tolist()) <= tokenizer.special_ids
        assert (encoding.word_ids[marks] == -1).all()
        assert (encoding.offsets[marks] == 0).all()
        assert len(encoding.tokens) == length


@pytest.mark.parametrize("family", FAMILIES)
def test_spans_and_words_are_those_of_the_text(family: str, small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small(family)

    @QUICK
    @given(WORDS)
    def check(words: list[str]) -> None:
        text = "  ".join(words)
        encoding = tokenizer.encode(text)
        inner = encoding.sequence_ids == 0
        for (start, end), token in zip(encoding.offsets[inner].tolist(), np.array(encoding.tokens, dtype=object)[inner], strict=True):
            piece = text[start:end]
            assert piece.strip() == piece or not piece.strip()
            if family in ("wordpiece", "wordpiece_lower") and token != "[UNK]":
                assert (piece.lower() if family == "wordpiece_lower" else piece) in (token.removeprefix("##"), "é", "café")
        numbers = encoding.word_ids[inner]
        assert (np.diff(numbers) >= 0).all()
        for number in np.unique(numbers):
            spans = encoding.offsets[inner][numbers == number]
            word = text[spans[:, 0].min() : spans[:, 1].max()]
            assert " " not in word.strip(), "no word may reach over a space"

    check()


SEPARATE_COMMA = ["the", "dogs", ",", "New", "York"]
WITH_COMMA = ["the", "dogs,", "New", "York"]


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("wordpiece", SEPARATE_COMMA),
        ("roberta", SEPARATE_COMMA),
        ("gpt2", SEPARATE_COMMA),
        ("metaspace", WITH_COMMA),
        ("unsplit", WITH_COMMA),
    ],
)
def test_words_of_each_family(family: str, words: list[str], small: Callable[[str], Tokenizer]) -> None:
    text = "the dogs, New York"
    encoding = small(family).encode(text)
    found: dict[int, list[int]] = {}
    for number, (start, end) in zip(encoding.word_ids.tolist(), encoding.offsets.tolist(), strict=True):
        if number >= 0:
            span = found.setdefault(number, [start, end])
            span[:] = [min(span[0], start), max(span[1], end)]
    assert [text[start:end] for start, end in found.values()] == words


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_do_not_depend_on_one_another(family: str, small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small(family)
    rows = ["the dog " * count + "New York" for count in (1, 9, 30, 2, 17)]
    batch = tokenizer.encode_batch(rows, rows[::-1], max_tokens=32)
    fast = tokenizer.encode_batch(rows, rows[::-1], max_tokens=32, offsets=False)
    for number, windows in enumerate(batch):
        alone = tokenizer.encode_batch([rows[number]], [rows[::-1][number]], max_tokens=32)[0]
        assert [window.ids.tolist() for window in windows] == [window.ids.tolist() for window in alone]
        assert [window.offsets.tolist() for window in windows] == [window.offsets.tolist() for window in alone]
        assert [window.ids.tolist() for window in windows] == [window.ids.tolist() for window in fast[number]]
        assert [window.tokens for window in windows] == [window.tokens for window in fast[number]]
        assert [window.unknown_tokens for window in windows] == [window.unknown_tokens for window in fast[number]]


def test_ids_alone_have_no_spans(small: Callable[[str], Tokenizer]) -> None:
    encoding = small("wordpiece").encode_batch(["the dog"], offsets=False)[0][0]
    with pytest.raises(SettingsError, match="offsets=True"):
        _ = encoding.offsets
    with pytest.raises(SettingsError, match="offsets=True"):
        _ = encoding.word_ids


def test_unknown_tokens_are_counted(small: Callable[[str], Tokenizer]) -> None:
    assert small("wordpiece").encode("the ☃ dog ☃☃").unknown_tokens == 2
    assert small("metaspace").encode("the dog ☃").unknown_tokens == 1
    assert small("roberta").encode("the ☃ dog").unknown_tokens == 0


@QUICK
@given(words=WORDS)
def test_decode_gives_the_text_back(words: list[str], small: Callable[[str], Tokenizer]) -> None:
    text = " ".join(words)
    for family in ("roberta", "gpt2"):
        assert small(family).decode(small(family).encode(text).ids) == text
    plain = text.replace(",", "")
    assert small("wordpiece").decode(small("wordpiece").encode(plain).ids) == plain
    assert small("wordpiece").decode(small("wordpiece").encode(plain).ids, skip_special_tokens=False) == f"[CLS] {plain} [SEP]"


def test_decode_refuses_ids_that_do_not_exist(small: Callable[[str], Tokenizer]) -> None:
    for wrong in (-1, 10**6):
        with pytest.raises(DataError, match=str(wrong)):
            small("wordpiece").decode([5, wrong])


def test_empty_texts(small: Callable[[str], Tokenizer]) -> None:
    assert small("wordpiece").encode("").tokens == ["[CLS]", "[SEP]"]
    assert small("wordpiece").encode("", "").tokens == ["[CLS]", "[SEP]", "[SEP]"]
    assert small("wordpiece").encode(" \u200b").offsets.tolist() == [[0, 0], [0, 0]]
    assert small("wordpiece").encode_batch([]) == []
    with pytest.raises(DataError, match="row 1 has no token"):
        small("gpt2").encode_batch(["a", ""])
    assert len(small("gpt2").encode("", "a")) == 1


@pytest.mark.parametrize("value", [None, float("nan"), 3, b"text", ["a"], ("a", "b")])
def test_what_is_no_text_is_refused_by_row(value: object, small: Callable[[str], Tokenizer]) -> None:
    with pytest.raises(DataError, match=rf"row 1 of texts .*{type(value).__name__}"):
        small("wordpiece").encode_batch(["a", value])  # type: ignore[list-item]
    with pytest.raises(DataError, match="row 0 of pairs"):
        small("wordpiece").encode_batch(["a"], [value])  # type: ignore[list-item]


@pytest.mark.parametrize("family", FAMILIES)
def test_half_characters_are_refused_by_row(family: str, small: Callable[[str], Tokenizer]) -> None:
    with pytest.raises(DataError, match=r"row 1 of texts has a lone surrogate .* at place 2"):
        small(family).encode_batch(["a", "ab\ud83d"])


def test_wrong_arguments(small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small("wordpiece")
    with pytest.raises(DataError, match=r"write \[text\]"):
        tokenizer.encode_batch("the dog")
    with pytest.raises(DataError, match="not one NoneType"):
        tokenizer.encode_batch(None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="2 texts but 1 pairs"):
        tokenizer.encode_batch(["a", "b"], ["c"])
    with pytest.raises(SettingsError, match="3 at least"):
        tokenizer.encode_batch(["a"], max_tokens=2)
    with pytest.raises(SettingsError, match="5 at least"):
        tokenizer.encode_batch(["a"], ["b"], max_tokens=4)
    with pytest.raises(SettingsError, match="from 0 to 5"):
        tokenizer.encode_batch(["a"], max_tokens=8, stride=6)
    with pytest.raises(SettingsError, match="Did you mean 'window'"):
        tokenizer.encode_batch(["a"], max_tokens=8, overflow="windows")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"row 1 has 9 tokens, more than max_tokens=8.*head_tail"):
        tokenizer.encode_batch(["a", "the dog runs over a hill."], max_tokens=8, overflow="error")
    assert len(tokenizer.encode_batch(["the dog runs over a hill"], max_tokens=8, overflow="error")[0][0]) == 8


def test_strings_of_numpy_are_strings(small: Callable[[str], Tokenizer]) -> None:
    rows = small("wordpiece").encode_batch(np.array(["the dog", "a hill"]))  # type: ignore[arg-type]
    assert rows[1][0].tokens == ["[CLS]", "a", "hill", "[SEP]"]


@pytest.mark.parametrize("family", ["wordpiece", "roberta", "metaspace"])
@pytest.mark.parametrize("text", ["the dog runs ", "a", "é😁 "])
def test_very_long_texts_take_no_quadratic_time(family: str, text: str, small: Callable[[str], Tokenizer]) -> None:
    start = time.perf_counter()
    windows = small(family).encode_batch([text * (120_000 // len(text))], max_tokens=512)[0]
    last = windows[-1].offsets[windows[-1].sequence_ids == 0][-1]
    assert last[1] >= 120_000 // len(text) * len(text) - 1
    assert time.perf_counter() - start < 20


def test_special_tokens_in_any_arrangement() -> None:
    backend = unigram(split=True)
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(),
            processors.TemplateProcessing(single="$A:1 </s>:2", pair="</s> $B </s>:1 $A:1 </s>", special_tokens=[("</s>", 2)]),
        ]
    )
    backend.enable_truncation(4)
    backend.enable_padding(length=20)
    tokenizer = Tokenizer(backend)
    assert tokenizer.encode("the dog the dog the").segment_ids.tolist() == [1, 1, 1, 1, 1, 2]
    pair = tokenizer.encode("the dog", "New York")
    assert pair.sequence_ids.tolist() == [-1, 1, 1, -1, 0, 0, -1]
    assert pair.ids.tolist() == backend.encode("the dog", "New York").ids
    assert pair.segment_ids.tolist() == backend.encode("the dog", "New York").type_ids


def test_a_rule_that_is_no_template_is_refused() -> None:
    backend = unigram(split=True)
    backend.post_processor = processors.TemplateProcessing(single="$A </s> $A", pair="$A $B", special_tokens=[("</s>", 2)])
    with pytest.raises(CheckpointError, match=r"exactly once|cannot be used"):
        Tokenizer(backend)


def test_a_vocabulary_without_unknown_token_names_the_rows() -> None:
    backend = Backend(models.WordPiece({"a": 0, "b": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(DataError, match="rows 0 to 1"):
        Tokenizer(backend).encode_batch(["a", "c"])
    with pytest.raises(CheckpointError, match="no token of any text"):
        Tokenizer(Backend(models.WordPiece({}, unk_token="[UNK]")))
