"""Bulk tokenization gives what tokenizing each text alone gives, for every family and every text."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from bertworks.errors import DataError, SettingsError
from bertworks.tokenization import Tokenizer, bulk
from bertworks.tokenization.bulk import BulkTokenizer, Tokens
from tests.tokenization.conftest import BERT_FAMILY, FAMILIES

Small = Callable[[str], Tokenizer]
PARTS = (
    *("the", "dog", "New", "York", "unable", "naïve", "café", "博", "x", "A", "7", "don't", "'s", "!", "...", "-"),
    *(" ", " ", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\u0085", "\x1c", "\u200b", "\u200d"),
    *("[MASK]", "[SEP]", "[UNK]", "<mask>", "</s>", "<unk>", "<|endoftext|>", "|||EMAIL_ADDRESS|||", "[unused0]"),
    *("\u0301", "e\u0301", "´", "ﬁ", "ﱞ", "İ", "ß", "Σ", "ς", "ǅ", "가", "ᄀ", "ᅡ", "😁", "\x00", "\ufffd", "a" * 120),
)
"""What texts are put together from: words, all kinds of white space, special tokens, and what normalizers change."""
texts_strategy = st.lists(st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=14).map("".join), max_size=12)


def one_by_one(tokenizer: Tokenizer, texts: list[str]) -> tuple[list[int], list[bool], list[int]]:
    ids: list[int] = []
    starts: list[bool] = []
    offsets = [0]
    for text in texts:
        whole = tokenizer.encode("the", text).texts[1]  # a pair, since an empty text alone may be no sequence
        words = whole.word_ids.tolist()
        ids += whole.ids.tolist()
        starts += [place == 0 or words[place] != words[place - 1] or words[place] == -1 for place in range(len(words))]
        offsets.append(len(ids))
    return ids, starts, offsets


def plain(tokens: Tokens) -> tuple[list[int], list[bool], list[int]]:
    return tokens.ids.tolist(), tokens.word_starts.tolist(), tokens.offsets.tolist()


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60)
@given(batches=st.lists(texts_strategy, min_size=1, max_size=3))
def test_small_tokenizers(small: Small, family: str, batches: list[list[str]]) -> None:
    tokenize = BulkTokenizer(small(family))
    for texts in batches:
        assert plain(tokenize(texts)) == one_by_one(small(family), texts)


@pytest.mark.shared
@pytest.mark.parametrize("name", [*BERT_FAMILY, "gpt2", "roberta-base", "modernbert"])
def test_real_vocabularies(real: Small, name: str) -> None:
    tokenize = BulkTokenizer(real(name))

    @settings(max_examples=150)
    @given(texts=texts_strategy)
    def check(texts: list[str]) -> None:
        assert plain(tokenize(texts)) == one_by_one(real(name), texts)

    check()


@pytest.mark.parametrize("prefix", [False, True])
def test_byte_level_with_and_without_a_space_before_the_text(prefix: bool) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("h", "e"), ("t", "he"), ("Ġt", "he")]
    vocabulary = {token: number for number, token in enumerate([*alphabet, *map("".join, merges)])}
    backend = Backend(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer = Tokenizer(backend)
    texts = ["the the", " the", " the the", "the  the", "the\tthe ", "", " ", "the"]
    assert plain(BulkTokenizer(tokenizer)(texts)) == one_by_one(tokenizer, texts)
    assert BulkTokenizer(tokenizer)(["the"]).ids.tolist() == [vocabulary["Ġthe"] if prefix else vocabulary["the"]]


def test_which_tokenizers_keep_spaces(small: Small) -> None:
    assert [family for family in FAMILIES if BulkTokenizer(small(family)).keeps_spaces] == ["roberta", "gpt2"]
    backend = Backend(models.BPE({"a": 0, "Ġa": 1, "Ġ": 2}, [("Ġ", "a")]))
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenize = BulkTokenizer(Tokenizer(backend))
    assert tokenize.keeps_spaces
    assert [tokenize([text]).ids.tolist() for text in ("a", " a")] == [[0], [1]]


@pytest.mark.parametrize(
    ("limit", "most", "size"), [("_MOST_REMEMBERED", 3, len), ("_MOST_CHARACTERS", 12, lambda known: sum(map(len, known)))]
)
def test_what_is_remembered_is_forgotten_in_time(
    limit: str, most: int, size: Callable[[dict[str, int]], int], small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, limit, most)
    tokenize = BulkTokenizer(small("wordpiece"))
    for texts in (["the dog runs over a hill"], ["the dog"], ["a hill , the dog"], []):
        assert plain(tokenize(texts)) == one_by_one(small("wordpiece"), texts)
        assert size(tokenize._known) <= most


def test_each_stretch_is_tokenized_once(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenize = BulkTokenizer(small("roberta"))
    tokenize(["the dog runs", "the dog"])
    learnt = len(tokenize._ids)
    tokenize(["the runs dog runs dog"] * 50)
    assert len(tokenize._ids) == learnt


@pytest.mark.parametrize("family", FAMILIES)
def test_half_a_character_is_refused(small: Small, family: str) -> None:
    with pytest.raises(DataError, match=r"lone surrogate .* at place 4"):
        BulkTokenizer(small(family))(["the dog", "the \ud800dog"])


def test_a_tokenizer_that_cuts_at_random_is_refused() -> None:
    backend = Backend(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.1))
    with pytest.raises(SettingsError, match="at random"):
        BulkTokenizer(Tokenizer(backend))
