"""Scripts: of characters, of vocabularies, and the warning where a text is of another."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from bertworks.errors import ScriptWarning
from bertworks.tokenization import Tokenizer
from bertworks.tokenization.scripts import known_scripts, letters_by_script, script_of

RUSSIAN, CHINESE = "Книга лежит на столе.", "书在桌子上面呢。"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture
def english(tmp_path: Path) -> Tokenizer:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, "the", "book", "##s", "lies", "here", *"книгалежтсо"]), encoding="utf-8")
    return Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    ("character", "script"),
    [
        *[("a", "Latin"), ("É", "Latin"), ("ﬁ", "Latin"), ("ｆ", "Latin"), ("ж", "Cyrillic"), ("Ω", "Greek"), ("字", "Han"), ("𠀀", "Han")],
        *[("か", "Hiragana"), ("カ", "Katakana"), ("ｶ", "Katakana"), ("한", "Hangul"), ("ท", "Thai"), ("ि", "Devanagari"), ("ش", "Arabic")],
        *[("1", None), (" ", None), ("_", None), ("+", None), ("“", None), ("\x00", None), ("\u0301", None)],
        *[("😀", "emoji and symbols"), ("→", "emoji and symbols"), ("™", "emoji and symbols")],
    ],
)
def test_scripts(character: str, script: str | None) -> None:
    assert script_of(character) == script


def test_letters_are_counted_and_nothing_else() -> None:
    assert letters_by_script(["two 2!", "café 😀", "жук"]) == {"Latin": 7, "Cyrillic": 3}


def test_single_letters_of_an_alphabet_are_no_words_but_those_of_chinese_are() -> None:
    assert known_scripts(dict.fromkeys([*"абвгдежзик", *"书在桌子上面呢", "the", "##ing"], 0)) == {"Latin", "Han"}


@pytest.mark.parametrize(
    ("text", "told"), [(RUSSIAN, "100% of the letters are Cyrillic, but"), (f"{CHINESE} Book", "64% of the letters are Han, but")]
)
def test_a_text_of_another_script_is_warned_of_once(english: Tokenizer, text: str, told: str) -> None:
    with pytest.warns(ScriptWarning, match=told) as caught:
        english.encode_batch([text, text])
    assert "words of Latin only" in str(caught[0].message)
    assert "model=" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        english.encode(text)


def test_the_vocabulary_is_looked_through_once(english: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    whole = dict.fromkeys((f"{a}{b}{c}" for a in "книга" for b in "книга" for c in "книга"), 0)
    monkeypatch.setattr(
        "bertworks.tokenization.tokenizer.known_scripts", lambda vocabulary: asked.append(vocabulary) or known_scripts(whole)
    )
    for _ in range(3):
        english.encode(RUSSIAN)
    assert len(asked) == 1


@pytest.mark.parametrize("text", ["The café lies here.", "“The book” 😀😀😀😀😀😀😀😀", "The book (книга) lies here.", "ж", "", "12 → 13"])
def test_what_is_no_other_script_is_not_warned_of(english: Tokenizer, text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        english.encode(text)


def test_a_tokenizer_of_bytes_knows_every_script(small: Callable[[str], Tokenizer]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small("roberta").encode(RUSSIAN)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "text", "warned"),
    [
        *[("bert-base-uncased", RUSSIAN, True), ("bert-base-uncased", CHINESE, True), ("bert-base-cased", RUSSIAN, True)],
        *[("bert-base-multilingual-cased", RUSSIAN, False), ("bert-base-multilingual-cased", CHINESE, False)],
        *[("bert-base-chinese", CHINESE, False), ("bert-base-chinese", RUSSIAN, True)],
    ],
)
def test_real_vocabularies(shared_data: Path, name: str, text: str, warned: bool) -> None:
    tokenizer = Tokenizer.load(shared_data / "vocabularies" / name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tokenizer.encode(text)
    assert [warning.category for warning in caught] == ([ScriptWarning] if warned else [])
