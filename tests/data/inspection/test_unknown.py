"""What a tokenizer does not know, with vocabularies made for the purpose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bertworks.data.inspection.unknown import count_scripts
from bertworks.tokenization import Tokenizer

from .conftest import Findings, GoodRows

TITLE, SPELLED = "Unknown to the tokenizer", "Spelled letter by letter"


@pytest.fixture
def vocabulary(tmp_path: Path, good_rows: GoodRows) -> Callable[..., Tokenizer]:
    """A WordPiece tokenizer that knows the words of the good rows, and those given."""

    def make(*words: str) -> Tokenizer:
        known = {word for text in good_rows()[0] for word in text.lower().rstrip(".").split()}
        lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *sorted(known | set(words))]
        (tmp_path / "vocab.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return Tokenizer.load(tmp_path)

    return make


def test_a_tokenizer_that_knows_everything(findings: Findings, good_rows: GoodRows, vocabulary: Callable[..., Tokenizer]) -> None:
    assert findings(*good_rows(), tokenizer=vocabulary(), limit=64) == {}


@pytest.mark.parametrize(("emoji", "level"), [(10, None), (60, "note"), (260, "warning")])
def test_unknown_tokens(
    findings: Findings, good_rows: GoodRows, vocabulary: Callable[..., Tokenizer], emoji: int, level: str | None
) -> None:
    texts, labels = good_rows()
    tokens = sum(len(text.rstrip(".").split()) + 1 for text in texts)
    spread = [f"{text} {'😀 ' * (emoji // 200 + (i < emoji % 200))}".strip() for i, text in enumerate(texts)]
    found = findings(spread, labels, tokenizer=vocabulary(), limit=64).get(TITLE)
    assert (found.level if found else None) == level
    if found:
        assert f"{emoji} of {tokens + emoji:,} tokens ({emoji / (tokens + emoji):.1%})" in found.message
        assert "emoji and symbols 100%" in found.message
        assert found.count == min(emoji, 200)


def test_a_language_that_the_tokenizer_does_not_know(findings: Findings, good_rows: GoodRows, vocabulary: Callable[..., Tokenizer]) -> None:
    texts, labels = good_rows()
    table = str.maketrans({chr(ord("a") + i): chr(ord("а") + i) for i in range(26)})
    russian = [text.lower().translate(table) for text in texts]
    found = findings(russian, labels, tokenizer=vocabulary(), limit=64)[TITLE]
    assert (found.level, found.count) == ("error", 200)
    assert "Cyrillic 100%" in found.message
    half = [*russian[:100], *texts[100:]]
    assert findings(half, labels, tokenizer=vocabulary(), limit=64)[TITLE].level == "warning"
    letters = [chr(ord("а") + i) for i in range(26)]
    spelled = findings(russian, labels, tokenizer=vocabulary(*letters, *(f"##{letter}" for letter in letters)), limit=300)
    assert TITLE not in spelled
    assert spelled[SPELLED].level == "warning"
    assert "Cyrillic (100% of the letters): 1.0" in spelled[SPELLED].message


def test_counts_by_script(vocabulary: Callable[..., Tokenizer]) -> None:
    counts = count_scripts(["film 字 книга", "the soup字 was"], vocabulary("字", "к", "##н"))
    assert counts.characters == {"Latin": 14, "Han": 2, "Cyrillic": 5}
    assert counts.unknown == {"Cyrillic": 5}
    assert counts.tokens == {"Latin": 4, "Han": 2, "Cyrillic": 1}


def test_pairs_are_counted_too(findings: Findings, good_rows: GoodRows, vocabulary: Callable[..., Tokenizer]) -> None:
    texts, labels = good_rows()
    pairs = [(text, f"{other} 😀") for text, other in zip(texts, texts[1:] + texts[:1], strict=True)]
    found = findings(pairs, labels, tokenizer=vocabulary(), limit=64)[TITLE]
    assert (found.level, found.count) == ("note", 200)
