"""Lines are told apart, paragraphs are split where sentences end, and no character is lost on the way."""

import re
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.corpus import sentences
from bertworks.data.corpus.sentences import LineStyle, SentenceSplitter, cut, line_style, sentences_of
from bertworks.errors import MissingExtraError
from tests.data.corpus.sentence_cases import ENGLISH, OTHER, WITHOUT_SPACES

SENTENCES = [sentence for case in ENGLISH for sentence in case]
PARAGRAPHS = [" ".join(SENTENCES[i : i + 6]) for i in range(0, len(SENTENCES) - 6, 6)]

PROSE = (
    "The ferry left the northern shore an hour before the sun came up, and by the time the last of the passengers had found a place "
    "to sit the lights of the harbour were no more than a pale line behind them. Nobody spoke, for the wind was cold and the noise of "
    "the engine drowned every word that was not shouted. An old woman who sold bread from a basket went from bench to bench, and "
    "those who had forgotten to eat were glad of her. Towards noon the island rose out of the mist, first its tower, then the white "
    "houses below it, and at last the long stone pier on which a crowd was waiting."
)


def wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("documents", "style"),
    [
        (["\n".join(SENTENCES)], "sentences"),
        (["\n\n".join(["Chapter One", *SENTENCES[:40]]), "\n".join(SENTENCES[40:])], "sentences"),
        (SENTENCES, "sentences"),
        (["\n".join(PARAGRAPHS)], "paragraphs"),
        (PARAGRAPHS, "paragraphs"),
        (["\n".join([*SENTENCES[:20], *PARAGRAPHS])], "paragraphs"),
        (["\n".join(text for case in OTHER["zh"] for text in case)], "sentences"),
        (["".join(text for case in OTHER["zh"] for text in case)], "paragraphs"),
        (["\n".join(text for case in OTHER["ru"] for text in case)], "sentences"),
        (["Выпал глубокий снег. Дорогу занесло. Никто не приехал."], "paragraphs"),
        (["وصل أحمد إلى المدينة. كانت الشوارع خالية تماما."], "paragraphs"),
        (["It rained again . The streets were empty ."], "paragraphs"),
        (["buy milk", "call the office", "water the plants"], "paragraphs"),
        ([wrapped(paragraph, 66) for paragraph in PARAGRAPHS], "wrapped"),
        (["\n".join(wrapped(PROSE, width) for width in (70, 72, 68))], "wrapped"),
        ([], "paragraphs"),
        ([" \n "], "paragraphs"),
    ],
)
def test_what_lines_are(documents: list[str], style: LineStyle) -> None:
    assert line_style(documents) == style


def right(splitter: SentenceSplitter, case: list[str], between: str = " ") -> bool:
    return list(splitter(between.join(case))) == case


def test_hard_cases_are_right_as_often_as_the_module_says() -> None:
    english = SentenceSplitter("en")
    assert sum(right(english, case) for case in ENGLISH) >= 56
    assert len(ENGLISH) == 65
    others = [
        right(SentenceSplitter(language), case, "" if language in WITHOUT_SPACES else " ")
        for language, some in OTHER.items()
        for case in some
    ]
    assert sum(others) >= 20
    assert (len(others), len(OTHER)) == (24, 10)


PARTS = [*"aB .!?1\n\"“”()é漢。…'-\t[]*", "Mr. ", "I.", "U.S. ", "\u00a0", "\u3000", "\u200b", "[1]", "1. ", "I\u3000.", "M\u00a0. "]


@given(text=st.lists(st.sampled_from(PARTS), max_size=60).map("".join))
def test_no_character_is_lost(text: str) -> None:
    splitter = SentenceSplitter("en")
    found = list(splitter(text))
    assert "".join("".join(sentence.split()) for sentence in found) == "".join(text.split())
    assert all(sentence == sentence.strip() and sentence for sentence in found)
    assert splitter.unsplit == 0


def test_long_texts_are_split_as_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(SENTENCES * 3)
    whole = list(SentenceSplitter("en")(text))
    monkeypatch.setattr(sentences, "_BLOCK", 400)
    assert list(SentenceSplitter("en")(text)) == whole


def test_a_text_without_sentences_is_cut_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "_BLOCK", 50)
    assert "".join(SentenceSplitter("en")("x" * 130)) == "x" * 130


def test_where_the_library_panics_a_text_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException): ...

    def panic(language: str, text: str) -> list[str]:
        raise PanicException

    splitter = SentenceSplitter("en")
    monkeypatch.setattr(splitter, "_segment", panic)
    assert list(splitter("It rained. It stopped.")) == ["It rained. It stopped."]
    assert splitter.unsplit == 1


def test_other_ends_of_the_program_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(language: str, text: str) -> list[str]:
        raise KeyboardInterrupt

    splitter = SentenceSplitter("en")
    monkeypatch.setattr(splitter, "_segment", stop)
    with pytest.raises(KeyboardInterrupt):
        list(splitter("It rained."))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencex", None)
    with pytest.raises(MissingExtraError, match=r"pip install sentencex, or pip install 'bertworks\[corpus\]'"):
        SentenceSplitter("en")


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("sentences", ["One is", "here. Two is there.", "Three."]),
        ("paragraphs", ["One is", "here.", "Two is there.", "Three."]),
        ("wrapped", ["One is here.", "Two is there.", "Three."]),
    ],
)
def test_the_styles_of_lines(style: LineStyle, expected: list[str]) -> None:
    assert list(sentences_of("One is\n\n here. Two is there. \nThree.\n", style, SentenceSplitter("en"))) == expected


@given(words=st.lists(st.text("abé", min_size=1, max_size=30), max_size=30), longest=st.integers(5, 40))
def test_cutting_loses_no_character(words: list[str], longest: int) -> None:
    text = " ".join(words)
    parts = cut(text, longest)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert all(len(part) <= longest for part in parts)
    if all(len(word) <= longest for word in words):
        assert " ".join(parts) == text
        assert all(len(a) + 1 + len(re.split(" ", b)[0]) > longest for a, b in pairwise(parts)), "a part could have held more"
