"""The same ids, spans and words as transformers, on whatever text."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.tokenization import Tokenizer
from tests.tokenization.conftest import PIECES

transformers = pytest.importorskip("transformers")

# Any text that is Unicode at all; half of it made of what the vocabularies know.
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    st.lists(
        st.sampled_from(
            [
                "the ",
                "dogs",
                " playing",
                "unable",
                "é",
                "e\u0301",
                "İ",
                "ß",
                "博",
                " ",
                "\u00a0",
                "\u3000",
                "\n",
                "'s",
                "[MASK]",
                "\x00",
                "\u200d",
                "😁",
            ]
        ),
        max_size=12,
    ).map("".join),
)
MANY = settings(max_examples=80, deadline=None)


@pytest.fixture(scope="module")
def references() -> dict[bool, object]:
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    return {lower: transformers.BertTokenizerFast(vocab=vocabulary, do_lower_case=lower) for lower in (False, True)}


@pytest.mark.parametrize("lower", [False, True])
def test_wordpiece_is_that_of_transformers(
    lower: bool, small: Callable[[str], Tokenizer], references: dict[bool, Callable[..., object]]
) -> None:
    tokenizer, reference = small("wordpiece_lower" if lower else "wordpiece"), references[lower]

    @MANY
    @given(TEXT, TEXT)
    def check(first: str, second: str) -> None:
        encoding, expected = tokenizer.encode(first, second), reference([first], [second], return_offsets_mapping=True)
        assert encoding.ids.tolist() == expected["input_ids"][0]
        assert encoding.segment_ids.tolist() == expected["token_type_ids"][0]
        assert encoding.tokens == expected.tokens()
        assert encoding.offsets.tolist() == [list(span) for span in expected["offset_mapping"][0]]
        assert [None if word < 0 else word for word in encoding.word_ids.tolist()] == expected.word_ids()
        assert [None if text < 0 else text for text in encoding.sequence_ids.tolist()] == expected.sequence_ids()

    check()


def test_byte_level_is_that_of_transformers(small: Callable[[str], Tokenizer], tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.tokenization.conftest import write_byte_level

    folder = write_byte_level(tmp_path_factory.mktemp("roberta"), ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer, reference = small("roberta"), transformers.RobertaTokenizerFast.from_pretrained(str(folder))
    # transformers builds RoBERTa's mask from plain files as one that leaves the space before it alone.
    text = TEXT.filter(lambda drawn: "<mask>" not in drawn)

    @MANY
    @given(text, text)
    def check(first: str, second: str) -> None:
        encoding, expected = tokenizer.encode(first, second), reference([first], [second], return_offsets_mapping=True)
        assert encoding.ids.tolist() == expected["input_ids"][0]
        assert encoding.offsets.tolist() == [list(span) for span in expected["offset_mapping"][0]]
        assert [None if word < 0 else word for word in encoding.word_ids.tolist()] == expected.word_ids()
        assert tokenizer.decode(encoding.ids[encoding.sequence_ids >= 0], skip_special_tokens=False) == first + second

    check()


@MANY
@given(first=st.integers(0, 40), second=st.integers(0, 40), limit=st.integers(5, 60))
def test_truncation_is_that_of_transformers(
    first: int, second: int, limit: int, small: Callable[[str], Tokenizer], references: dict[bool, Callable[..., object]]
) -> None:
    text, pair = "the dog " * first, "a hill over " * second
    encoding = small("wordpiece").encode_batch([text], [pair], max_tokens=limit, overflow="truncate")[0][0]
    expected = references[False]([text], [pair], truncation="longest_first", max_length=limit)["input_ids"][0]
    assert encoding.ids.tolist() == expected
    assert encoding.truncated_tokens == 2 * first + 3 * second + 3 - len(expected)


def test_mask_of_a_byte_level_vocabulary_takes_the_space_before_it(small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small("roberta")
    encoding = tokenizer.encode("the <mask> runs")
    assert encoding.tokens[encoding.ids.tolist().index(tokenizer.mask_id) - 1] != "Ġ"
    assert encoding.offsets[encoding.ids == tokenizer.mask_id].tolist() == [[4, 10]]
