"""Training tokenizers: what is learnt, that it is always the same, and that transformers reads it as we do."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from bertworks.errors import DataError, SettingsError
from bertworks.tokenization import Tokenizer, word_counts
from bertworks.tokenization.statistics import statistics_of_texts, statistics_of_words
from bertworks.tokenization.training import (
    SPECIAL_TOKENS,
    TokenizerSettings,
    TrainedTokenizer,
    learn_tokenizer,
    train_tokenizer,
    word_counter,
)
from tests.conftest import PLAIN, make_reviews

HUGS = ["hug"] * 10 + ["pug"] * 5 + ["pun"] * 12 + ["bun"] * 4 + ["hugs"] * 5
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
TEXTS = [
    *make_reviews(400, seed=7)[0],
    "Naïve cafés, façades and a Ğ: ÄÖÜ äöü ß. Crème brûlée costs 12,50 € (or $14)!",
    "Привет, мир. Γειά σου Κόσμε. שלום עולם. مرحبا بالعالم",
    "你好，世界。東京都 서울 カタカナ हिन्दी ภาษาไทย",
    "e-mail: a.b@example.org — “quoted” … 😀👍🏽 x² ½ № ①",
    "tabs\tand\nnew lines\r\nand   runs  of spaces ",
]
KINDS: dict[str, dict[str, Any]] = {
    "wordpiece": {"vocabulary_size": 450},
    "wordpiece cased": {"vocabulary_size": 480, "lower_case": False},
    "wordpiece accents": {"vocabulary_size": 450, "strip_accents": False, "chinese_characters": False},
    "wordpiece roberta": {"vocabulary_size": 400, "special_tokens": "roberta", "limit_alphabet": 60},
    "bpe": {"kind": "bpe", "vocabulary_size": 500},
    "bpe bert": {"kind": "bpe", "vocabulary_size": 500, "special_tokens": "bert"},
    "bpe uncased": {"kind": "bpe", "vocabulary_size": 500, "lower_case": True},
    "bpe accents": {"kind": "bpe", "vocabulary_size": 500, "lower_case": True, "strip_accents": False},
}
# Any text that is Unicode at all; half of it made of what the vocabularies know.
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    st.lists(
        st.sampled_from(
            [*(word + " " for word in PLAIN[:40]), "The ", "é", "e\u0301", "İ", "ß", "你", "Привет", " ", "  ", "\u00a0", "\u3000"]
        )
        | st.sampled_from(["\n", "\t", "\r\n", "'s", "ing", "\x00", "\x1c", "\x85", "\u200d", "😀", "\u0301", "a" * 101]),
        max_size=12,
    ).map("".join),
)


@pytest.fixture(scope="module")
def trained() -> Callable[[str], TrainedTokenizer]:
    made: dict[str, TrainedTokenizer] = {}

    def train(kind: str) -> TrainedTokenizer:
        if kind not in made:
            made[kind] = train_tokenizer(TEXTS, TokenizerSettings(**KINDS[kind]))
        return made[kind]

    return train


def vocabulary_of(tokenizer: Tokenizer) -> list[str | None]:
    return [tokenizer.id_to_token(number) for number in range(tokenizer.vocabulary_size)]


def test_wordpiece_by_hand() -> None:
    """##u ##g stand 20 times side by side, then ##u ##n 16 (p ##u 17 before, now 12), h ##ug 15, p ##un 12; of p ##ug and
    hug ##s, both 5, the pair of the earlier symbol goes first."""
    tokenizer = train_tokenizer(HUGS, TokenizerSettings(vocabulary_size=22)).tokenizer
    letters = ["b", "g", "h", "n", "p", "s", "u", "##g", "##n", "##s", "##u"]
    assert vocabulary_of(tokenizer) == [*BERT, *letters, "##ug", "##un", "hug", "pun", "pug", "hugs"]
    assert tokenizer.encode("Hugs, bugs pu?").tokens == ["[CLS]", "hugs", "[UNK]", "b", "##ug", "##s", "p", "##u", "[UNK]", "[SEP]"]


def test_byte_level_by_hand() -> None:
    """u g stand 4 times side by side and h ug 3 times; of those that stand once, the earlier bytes go first: p, then that
    of Ã, then that of the space (Ġ)."""
    wanted = TokenizerSettings(kind="bpe", vocabulary_size=266, minimum_frequency=1)
    tokenizer = train_tokenizer(["hug hugs", "hug pug é"], wanted).tokenizer
    tokens = vocabulary_of(tokenizer)
    assert tokens[:5] == ROBERTA
    assert set(tokens[5:261]) == set(pre_tokenizers.ByteLevel.alphabet())
    assert tokens[261:] == ["ug", "hug", "pug", "Ã©", "Ġhug"]
    assert tokenizer.encode("hug é hugs").tokens == ["<s>", "hug", "Ġ", "Ã©", "Ġhug", "s", "</s>"]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_come_first(kind: str, trained: Callable[[str], TrainedTokenizer]) -> None:
    result = trained(kind)
    tokenizer, settings = result.tokenizer, result.settings
    names = BERT if settings.special_tokens == "bert" else ROBERTA
    assert vocabulary_of(tokenizer)[:5] == names
    assert tokenizer.vocabulary_size == KINDS[kind]["vocabulary_size"]
    ids = {"cls_token": tokenizer.cls_id, "sep_token": tokenizer.sep_id, "pad_token": tokenizer.padding_id}
    ids |= {"mask_token": tokenizer.mask_id, "unk_token": tokenizer.unknown_id}
    assert ids == {role: names.index(token) for role, token in SPECIAL_TOKENS[settings.special_tokens].items()}
    assert tokenizer.special_ids == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_counted_as_the_tokenizer_splits_texts(kind: str) -> None:
    wanted = TokenizerSettings(**KINDS[kind])

    @settings(max_examples=60)
    @given(st.lists(TEXT, max_size=4))
    def check(texts: list[str]) -> None:
        backend = train_tokenizer(["a"], TokenizerSettings(**{**KINDS[kind], "vocabulary_size": 300})).tokenizer._backend
        expected: Counter[str] = Counter()
        for text in texts:
            normal = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
            expected.update(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal))
        counter = word_counter(wanted)
        counter.add(texts)
        assert counter.words == expected
        assert (counter.texts, counter.characters) == (len(texts), sum(map(len, texts)))

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_of_words_and_of_texts_agree(kind: str, trained: Callable[[str], TrainedTokenizer]) -> None:
    tokenizer = trained(kind).tokenizer

    @settings(max_examples=40)
    @given(st.lists(TEXT.filter(lambda text: not any(token in text for token in ("<", "["))), max_size=4))
    def check(texts: list[str]) -> None:
        counter = word_counter(trained(kind).settings)
        counter.add(texts)
        of_words, of_texts = statistics_of_words(tokenizer, counter), statistics_of_texts(tokenizer, texts)
        for name in ("texts", "characters", "tokens", "unknown_tokens", "tokens_used", "vocabulary", "longest"):
            assert getattr(of_words, name) == getattr(of_texts, name), name
        encodings = [tokenizer.encode(text) for text in texts]
        ids = [int(i) for encoding in encodings for i in encoding.ids[encoding.sequence_ids >= 0]]
        assert (of_texts.tokens, of_texts.tokens_used) == (len(ids), len(set(ids) - tokenizer.special_ids))
        assert of_texts.unknown_tokens == sum(encoding.unknown_tokens for encoding in encodings)
        assert of_texts.words == sum(len(text.split()) for text in texts)

    check()


def test_statistics_by_hand() -> None:
    counter = word_counter(TokenizerSettings())
    counter.add(HUGS)
    tokenizer = learn_tokenizer(counter, TokenizerSettings(vocabulary_size=19)).tokenizer  # with ##ug, ##un and hug
    found = statistics_of_words(tokenizer, counter)
    assert (found.texts, found.words, found.characters) == (36, 36, 31 * 3 + 5 * 4)
    assert found.tokens == 10 + 2 * (5 + 12 + 4 + 5)  # hug is one token, all else two
    assert (found.tokens_used, found.vocabulary) == (6, 14)  # hug, p, b, ##ug, ##un, ##s
    assert found.longest == ("hug", "##ug", "##un", "##s", "b", "p")
    assert [(cut.word, cut.pieces, cut.times) for cut in found.examples] == [
        ("pun", ("p", "##un"), 12),
        ("hugs", ("hug", "##s"), 5),
        ("pug", ("p", "##ug"), 5),
    ]
    other = statistics_of_texts(tokenizer, ["a hug", "qux hug"])
    assert (other.tokens, other.unknown_tokens, other.tokens_per_word, other.unknown_share) == (4, 2, 1.0, 0.5)
    assert [(cut.word, cut.pieces) for cut in other.unknown_words] == [("a", ("[UNK]",)), ("qux", ("[UNK]",))]
    assert json.loads(json.dumps(other.to_dict()))["unknown_words"][0] == {"word": "a", "pieces": ["[UNK]"], "times": 1}


def test_byte_level_tokens_are_shown_as_text(trained: Callable[[str], TrainedTokenizer]) -> None:
    counter = word_counter(TokenizerSettings(kind="bpe"))
    counter.add(["un café noir"] * 5)
    tokenizer = learn_tokenizer(counter, TokenizerSettings(kind="bpe", vocabulary_size=300)).tokenizer
    assert statistics_of_words(tokenizer, counter).longest[0] in ("Ġcafé", "Ġnoir")
    assert "Ġcafé" in statistics_of_texts(tokenizer, ["un café noir"]).longest


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_of_the_training_texts_is_lost(kind: str, trained: Callable[[str], TrainedTokenizer]) -> None:
    """All of a byte-level text comes back; a WordPiece vocabulary without a limit knows every word."""
    tokenizer, wanted = trained(kind).tokenizer, trained(kind).settings
    for text in TEXTS:
        encoding = tokenizer.encode(text)
        if wanted.kind == "bpe":
            decoded = tokenizer.decode(encoding.ids)
            assert decoded == (text if tokenizer._backend.normalizer is None else tokenizer._backend.normalizer.normalize_str(text))
        elif wanted.limit_alphabet == 1000:
            assert encoding.unknown_tokens == 0


def test_word_pieces_are_those_of_the_tokenizers_library() -> None:
    """Its own WordPiece trainer decides ties by the order of a hash map; with the symbols given first it cannot."""
    tokenizer = train_tokenizer(TEXTS, TokenizerSettings(vocabulary_size=450)).tokenizer
    ours = vocabulary_of(tokenizer)[5:]
    symbols = [token for token in ours if token is not None and len(token.removeprefix("##")) == 1]
    backend = Backend(models.BPE())
    backend.normalizer, backend.pre_tokenizer = tokenizer._backend.normalizer, tokenizer._backend.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=len(ours), min_frequency=2, special_tokens=symbols, continuing_subword_prefix="##", show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    assert [backend.id_to_token(number) for number in range(len(ours))] == ours


def test_byte_level_pieces_are_those_of_the_tokenizers_library() -> None:
    tokenizer = train_tokenizer(TEXTS, TokenizerSettings(kind="bpe", vocabulary_size=500)).tokenizer
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500, min_frequency=2, special_tokens=ROBERTA, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    assert [backend.id_to_token(number) for number in range(500)] == vocabulary_of(tokenizer)


PROGRAM = """
import random, sys
from pathlib import Path
from bertworks.tokenization.training import TokenizerSettings, train_tokenizer
texts = Path(sys.argv[1]).read_text(encoding="utf-8").split("\\x1e")
random.Random(int(sys.argv[2])).shuffle(texts)
for kind in ("wordpiece", "bpe"):
    train_tokenizer(texts, TokenizerSettings(kind=kind, vocabulary_size=700)).tokenizer.save(Path(sys.argv[3]) / kind)
"""


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_texts_give_the_same_bytes(tmp_path: Path) -> None:
    """In other processes, with another hash seed, another number of threads and another order of the texts."""
    source = tmp_path / "texts"
    source.write_bytes("\x1e".join(TEXTS).encode())
    found = []
    for number, threads in enumerate(("1", "2", "5")):
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": "1"}
        folder = tmp_path / str(number)
        subprocess.run([sys.executable, "-c", PROGRAM, str(source), str(number), str(folder)], check=True, env=environment)
        found.append(digests(folder))
    assert found[0] == found[1] == found[2]
    plain = {"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"}
    files = {f"wordpiece/{name}" for name in plain | {"vocab.txt"}} | {f"bpe/{name}" for name in plain | {"vocab.json", "merges.txt"}}
    assert set(found[0]) == files


@pytest.mark.parametrize("kind", KINDS)
def test_saved_tokenizers_are_read_by_transformers(kind: str, trained: Callable[[str], TrainedTokenizer], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = trained(kind).tokenizer
    tokenizer.save(tmp_path)
    readers = [transformers.AutoTokenizer.from_pretrained(str(tmp_path))]
    if kind in ("wordpiece", "wordpiece cased", "wordpiece accents"):
        readers.append(transformers.BertTokenizerFast.from_pretrained(str(tmp_path)))
    if kind == "bpe":
        readers.append(transformers.RobertaTokenizerFast.from_pretrained(str(tmp_path)))
    again = Tokenizer.load(tmp_path)
    assert again.fingerprint() == tokenizer.fingerprint()
    assert not again.notes
    for reader in readers:
        assert len(reader) == tokenizer.vocabulary_size
        assert (reader.cls_token_id, reader.sep_token_id, reader.mask_token_id) == (tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
        assert (reader.pad_token_id, reader.unk_token_id) == (tokenizer.padding_id, tokenizer.unknown_id)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(TEXT, TEXT)
    def check(first: str, second: str) -> None:
        expected = tokenizer.encode(first, second)
        for reader in readers:
            found = reader([first], [second])
            assert found["input_ids"][0] == expected.ids.tolist()
            if "token_type_ids" in found:
                assert found["token_type_ids"][0] == expected.segment_ids.tolist()

    check()
    for text in TEXTS:
        assert readers[0](text)["input_ids"] == tokenizer.encode(text).ids.tolist()


@pytest.mark.parametrize("kind", ["wordpiece", "wordpiece cased", "bpe", "bpe bert"])
def test_plain_files_say_the_same(kind: str, trained: Callable[[str], TrainedTokenizer], tmp_path: Path) -> None:
    """vocab.txt, or vocab.json and merges.txt, make the same ids as tokenizer.json."""
    tokenizer = trained(kind).tokenizer
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    plain = Tokenizer.load(tmp_path)
    for text in TEXTS:
        assert plain.encode(text).ids.tolist() == tokenizer.encode(text).ids.tolist()


def test_plain_files_are_left_out_where_they_would_say_less(trained: Callable[[str], TrainedTokenizer], tmp_path: Path) -> None:
    trained("bpe").tokenizer.save(tmp_path)
    assert (tmp_path / "merges.txt").exists()
    trained("bpe uncased").tokenizer.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"}


def test_lower_case_and_accents(trained: Callable[[str], TrainedTokenizer]) -> None:
    def same(kind: str, one: str, other: str) -> bool:
        tokenizer = trained(kind).tokenizer
        return tokenizer.encode(one).ids.tolist() == tokenizer.encode(other).ids.tolist()

    for kind in ("wordpiece", "bpe uncased"):
        assert same(kind, "A Café", "a cafe")
    for kind in ("wordpiece accents", "bpe accents"):
        assert same(kind, "A Café", "a café")
        assert not same(kind, "a café", "a cafe")
    for kind in ("wordpiece cased", "bpe"):
        assert not same(kind, "A film", "a film")
        assert not same(kind, "café", "cafe")
    words = trained("wordpiece").tokenizer.encode("你好").word_ids.tolist()
    assert words == [-1, 0, 1, -1]
    assert trained("wordpiece accents").tokenizer.encode("你好").word_ids.tolist()[1] == 0


def test_the_alphabet_is_limited_to_the_most_frequent_characters() -> None:
    texts = ["aaa bbb cc", "dd ee"]  # of c, d and e, which are equally frequent, the first two by their code points
    trained = train_tokenizer(texts, TokenizerSettings(vocabulary_size=30, limit_alphabet=4))
    assert [trained.tokenizer.encode(text).unknown_tokens for text in ("aa bb", "dd cc", "ee", "ae")] == [0, 0, 1, 1]
    assert (trained.alphabet, trained.characters) == (4, 5)
    assert any("1 of 5 characters are left out of the alphabet, the most frequent ones being e" in note for note in trained.notes)
    assert any("1 times a word was met that is unknown" in note for note in trained.notes)
    # nothing is learnt from a word that is unknown: ##b ##x would be, were the é only taken out
    odd = train_tokenizer(["abéx"] * 3 + ["ab ax bb xx"] * 9, TokenizerSettings(vocabulary_size=30, limit_alphabet=3))
    assert odd.tokenizer.token_to_id("##bx") is None


def test_minimum_frequency() -> None:
    texts = ["hello"] * 3 + ["world"] * 2
    for minimum, known in ((2, {"hello", "world"}), (3, {"hello"}), (4, set())):
        trained = train_tokenizer(texts, TokenizerSettings(vocabulary_size=60, minimum_frequency=minimum))
        assert {word for word in ("hello", "world") if trained.tokenizer.token_to_id(word) is not None} == known
        assert f"no further pair of pieces stands {minimum} times" in "".join(trained.notes)


def test_the_size_is_a_multiple() -> None:
    trained = train_tokenizer(TEXTS, TokenizerSettings(vocabulary_size=300, multiple_of=64))
    assert (trained.tokenizer.vocabulary_size, trained.unused_tokens, trained.notes) == (320, 0, [])
    small = train_tokenizer(HUGS, TokenizerSettings(vocabulary_size=300, multiple_of=64))
    assert (small.tokenizer.vocabulary_size, small.pieces) == (64, 7)
    assert small.unused_tokens == 64 - 5 - 11 - 7
    assert "the text gives 23 tokens only, 297 fewer than asked for" in small.notes[0]
    assert small.tokenizer.encode("[unused0]").unknown_tokens == 3
    byte_level = train_tokenizer(HUGS, TokenizerSettings(kind="bpe", vocabulary_size=300, multiple_of=64)).tokenizer
    assert byte_level.vocabulary_size % 64 == 0
    assert not any(token.startswith("[unused") for token in byte_level.encode("[unused0] [unused1]").tokens)


def test_words_that_are_too_long() -> None:
    texts = ["ab " * 5 + "a" * 101 + " " + "b" * 1500]
    for kind, unknown in (("wordpiece", 2), ("bpe", 0)):
        wanted = TokenizerSettings(kind=kind, vocabulary_size=300)  # type: ignore[arg-type]
        counter = word_counter(wanted)
        counter.add(texts)
        trained = learn_tokenizer(counter, wanted)
        assert trained.tokenizer.encode(texts[0]).unknown_tokens == unknown
        assert "1 times a word of more than 1,000 characters" in "".join(trained.notes)
    assert statistics_of_words(train_tokenizer(texts).tokenizer, _counted(texts)).unknown_tokens == 2


def _counted(texts: list[str]) -> word_counts.WordCounter:
    counter = word_counter(TokenizerSettings())
    counter.add(texts)
    return counter


def test_the_rarest_of_too_many_words_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_counts, "_MOST_RUNS", 50)
    backend = train_tokenizer(["a"]).tokenizer._backend
    counter = word_counts.WordCounter(backend, most_words=100)
    frequent = {f"often{number}": 40 for number in range(20)}
    counter.add(f"{word} rare{row * 20 + number}" for row in range(40) for number, word in enumerate(frequent))
    assert {word: counter.words[word] for word in frequent} == frequent
    assert len(counter.words) <= 100 + 60
    assert sum(counter.words.values()) + counter.forgotten == 40 * 20 * 2
    only_once = word_counts.WordCounter(backend, most_words=10)
    only_once.add([" ".join(f"word{number}" for number in range(60))])
    assert len(only_once.words) == 5


def test_special_tokens_in_the_texts_are_told() -> None:
    notes = train_tokenizer([*HUGS, "a [SEP] b", "[MASK]"]).notes
    assert any(note.startswith("2 texts have a special token written out ([PAD] [UNK] [CLS] [SEP] [MASK])") for note in notes)


def test_what_cannot_be_learnt() -> None:
    with pytest.raises(
        SettingsError, match=r"vocabulary_size=15 is too small: 5 special tokens and 11 single characters \(7, and 4 .*16 at"
    ):
        train_tokenizer(HUGS, TokenizerSettings(vocabulary_size=15))
    assert train_tokenizer(HUGS, TokenizerSettings(vocabulary_size=16)).pieces == 0
    for texts in ([], ["", " \n"]):
        with pytest.raises(DataError, match="there is no word to learn from"):
            train_tokenizer(texts)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "word-piece"}, "kind must be one of wordpiece, bpe, not 'word-piece'. Did you mean 'wordpiece'?"),
        ({"special_tokens": "gpt"}, "special_tokens must be one of bert, roberta"),
        ({"vocabulary_size": 0, "minimum_frequency": 1.5}, "vocabulary_size must be a whole number above 0, not 0; minimum_frequency must"),
        ({"kind": "bpe", "limit_alphabet": 100}, "limit_alphabet is for WordPiece only"),
        ({"kind": "bpe", "chinese_characters": True}, "chinese_characters is for WordPiece only"),
        ({"kind": "bpe", "vocabulary_size": 260}, "vocabulary_size must be 261 at least"),
    ],
)
def test_wrong_settings(values: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        TokenizerSettings(**values)
    assert told in str(raised.value)


@pytest.mark.slow
@pytest.mark.shared
def test_a_real_vocabulary(shared_data: Path, tmp_path: Path) -> None:
    """24,000 pieces of Wikipedia: the same ids as transformers' for real lines and for 100,000 random texts."""
    import random

    from bertworks.data.documents import read_documents

    transformers = pytest.importorskip("transformers")
    corpus = shared_data / "corpus"
    if not corpus.is_dir():
        pytest.skip(f"needs the corpora of the shared data folder, which are not at {corpus}")
    lines: list[str] = []
    for document in read_documents(corpus / "wikipedia.txt.xz"):
        lines.append(document.text)
        if len(lines) == 100_000:
            break
    wanted = TokenizerSettings(vocabulary_size=24_000)
    counter = word_counter(wanted)
    counter.add(lines)
    tokenizer = learn_tokenizer(counter, wanted).tokenizer
    assert tokenizer.vocabulary_size == 24_000
    assert statistics_of_words(tokenizer, counter).tokens_per_word < 1.5
    tokenizer.save(tmp_path)
    reader = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    draw = random.Random(0)
    ranges = [(0, 0x250), (0x250, 0x600), (0x600, 0x2000), (0x2000, 0x3100), (0x3100, 0xD7FF), (0xE000, 0x10FFFF)]
    texts = lines[::20]
    for _ in range(100_000):
        low, high = draw.choice(ranges)
        characters = [chr(draw.randint(low, high)) for _ in range(draw.randint(0, 12))]
        texts.append("".join(draw.choice([character, character, " ", draw.choice("aeinst")]) for character in characters))
    for start in range(0, len(texts), 2000):
        some = texts[start : start + 2000]
        ours = [row[0].ids.tolist() for row in tokenizer.encode_batch(some, offsets=False)]
        assert ours == reader(some)["input_ids"]
