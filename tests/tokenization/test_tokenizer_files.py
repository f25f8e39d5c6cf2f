"""Loading and saving: whatever files a model comes with, and transformers on what is saved."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import pre_tokenizers

from bertworks.errors import CheckpointError, SettingsError
from bertworks.tokenization import Tokenizer
from tests.tokenization.conftest import FAMILIES, write_byte_level, write_vocabulary

TEXTS = ["The dogs, naïve café [MASK] <mask> New York 博 😁", "first1 is [ENT] Second2!"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("added", [False, True])
def test_saved_is_what_is_loaded(family: str, added: bool, small: Callable[[str], Tokenizer], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    small(family).save(tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.fingerprint() == small(family).fingerprint()
    if added:
        size = tokenizer.vocabulary_size
        assert tokenizer.add_tokens(["first1", "Second2"]) == 2
        assert tokenizer.add_tokens(["first1", "[ENT]"], special=True) == 1
        assert tokenizer.vocabulary_size == size + 3
        assert tokenizer.token_to_id("[ENT]") in tokenizer.special_ids
        assert tokenizer.fingerprint() != small(family).fingerprint()
        tokenizer.save(tmp_path)
        assert Tokenizer.load(tmp_path).fingerprint() == tokenizer.fingerprint()
    for model_type in {"roberta": ["roberta"], "gpt2": ["gpt2", "modernbert"]}.get(family, ["bert", "distilbert", "electra"]):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        reference = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
        for text in TEXTS:
            assert reference(text)["input_ids"] == tokenizer.encode(text).ids.tolist()
        pair = reference(*TEXTS)
        assert pair["input_ids"] == tokenizer.encode(*TEXTS).ids.tolist()
        if family.startswith("wordpiece"):
            assert pair["token_type_ids"] == tokenizer.encode(*TEXTS).segment_ids.tolist()
    assert (tmp_path / "vocab.txt").exists() == family.startswith("wordpiece")


def test_each_file_of_a_tokenizer_will_do(tmp_path: Path) -> None:
    folder = write_vocabulary(tmp_path / "bert")
    from_vocabulary = Tokenizer.load(folder / "vocab.txt")
    from_vocabulary.save(tmp_path / "saved")
    assert Tokenizer.load(tmp_path / "saved" / "tokenizer.json").fingerprint() == from_vocabulary.fingerprint()
    assert Tokenizer.load(tmp_path / "saved" / "vocab.txt").encode(TEXTS[0]).ids.tolist() == from_vocabulary.encode(TEXTS[0]).ids.tolist()
    folder = write_byte_level(tmp_path / "roberta", ROBERTA)
    assert Tokenizer.load(folder / "vocab.json").fingerprint() == Tokenizer.load(folder).fingerprint()


def test_ids_by_role(small: Callable[[str], Tokenizer]) -> None:
    bert, roberta, gpt2 = small("wordpiece"), small("roberta"), small("gpt2")
    assert (bert.padding_id, bert.unknown_id, bert.cls_id, bert.sep_id, bert.mask_id, bert.end_id) == (0, 1, 2, 3, 4, None)
    assert bert.special_ids == {0, 1, 2, 3, 4}
    assert (roberta.cls_id, roberta.padding_id, roberta.sep_id, roberta.unknown_id, roberta.mask_id) == (0, 1, 2, 3, 4)
    assert (gpt2.cls_id, gpt2.sep_id, gpt2.mask_id, gpt2.unknown_id, gpt2.padding_id, gpt2.end_id) == (None, None, None, None, None, 0)
    assert [t.special_tokens_per_sequence(pair=False) for t in (bert, roberta, gpt2)] == [2, 2, 0]
    assert [t.special_tokens_per_sequence(pair=True) for t in (bert, roberta, gpt2)] == [3, 4, 0]
    assert (bert.token_to_id("dog"), bert.id_to_token(bert.token_to_id("dog") or 0), bert.token_to_id("cat")) == (6, "dog", None)
    assert (bert.id_to_token(-1), bert.id_to_token(10**6)) == (None, None)


def test_case_is_read_or_guessed_and_noted(tmp_path: Path) -> None:
    folder = write_vocabulary(tmp_path / "plain")
    guessed = Tokenizer.load(folder)
    assert guessed.encode("New").tokens[1] == "New"
    assert "taken as cased" in guessed.notes[0]
    assert Tokenizer.load(folder, lower_case=True).encode("THE Café").tokens[1:-1] == [
        "the",
        *Tokenizer.load(folder).encode("cafe").tokens[1:-1],
    ]
    assert Tokenizer.load(folder, lower_case=True).notes == ()
    assert Tokenizer.load(folder, lower_case=True, strip_accents=False).encode("CAFÉ").tokens[1:-1] == ["café"]
    told = Tokenizer.load(write_vocabulary(tmp_path / "told", {"do_lower_case": True, "strip_accents": False}))
    assert told.encode("CAFÉ").tokens[1:-1] == ["café"]
    assert told.notes == ()
    assert Tokenizer.load(folder, chinese_characters=False).encode("博博").tokens[1:-1] == ["[UNK]"]
    (tmp_path / "german").mkdir()
    (tmp_path / "german" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nschön\ngrün\ntag\n", encoding="utf-8")
    assert Tokenizer.load(tmp_path / "german").encode("Schön").tokens[1] == "schön"


@pytest.mark.parametrize(
    ("config", "lower"),
    [
        ({"do_lower_case": True}, True),
        ({"do_lower_case": False}, False),
        ({"tokenizer_class": "BertTokenizer", "do_lower_case": True}, True),
        ({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True}, False),
    ],
)
def test_files_that_disagree_are_read_as_transformers_does(config: dict[str, object], lower: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    Tokenizer.load(write_vocabulary(tmp_path, {"do_lower_case": False})).save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    tokenizer, reference = Tokenizer.load(tmp_path), transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert tokenizer.encode("The Dog").ids.tolist() == reference("The Dog")["input_ids"]
    assert (tokenizer.encode("THE").tokens[1] == "the") is lower
    assert any("as transformers does" in note for note in tokenizer.notes) is bool(config["do_lower_case"])
    overridden = Tokenizer.load(tmp_path, lower_case=not lower)
    assert (overridden.encode("THE").tokens[1] == "the") is not lower
    assert overridden.notes == ()


def test_listed_tokens_are_added(tmp_path: Path) -> None:
    folder = write_vocabulary(tmp_path, {"do_lower_case": False, "additional_special_tokens": []})
    size = Tokenizer.load(folder).vocabulary_size
    (folder / "added_tokens.json").write_text(json.dumps({"<two>": size + 1, "<one>": size}))
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.vocabulary_size == size + 2
    assert tokenizer.encode("a<one>a <two>").ids.tolist()[2:5:2] == [size, size + 1]
    (folder / "added_tokens.json").write_text(json.dumps({"<two>": size + 5}))
    with pytest.raises(CheckpointError, match="disagree"):
        Tokenizer.load(folder)


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("tokenizer_config.json", "additional_special_tokens"),
        ("tokenizer_config.json", "extra_special_tokens"),
        ("special_tokens_map.json", "extra_special_tokens"),
    ],
)
@pytest.mark.parametrize("lower", [True, False])
def test_listed_tokens_are_found_as_transformers_finds_them(place: str, key: str, lower: bool, tmp_path: Path) -> None:
    """Ordinary ones in the text as it is normalized, special ones as they are written, those without a role among them."""
    transformers = pytest.importorskip("transformers")
    folder = write_vocabulary(tmp_path, {"do_lower_case": lower, "tokenizer_class": "BertTokenizer"})
    size = len(Tokenizer.load(folder))
    (folder / "added_tokens.json").write_text(json.dumps({"Ord": size, "[E1]": size + 1}))
    (folder / "config.json").write_text('{"model_type": "bert"}')
    extra = ["[E1]", "play", "[New]"]
    told = json.loads((folder / place).read_text()) if (folder / place).exists() else {}
    (folder / place).write_text(json.dumps(told | {key: extra}))
    tokenizer, reference = Tokenizer.load(folder), transformers.AutoTokenizer.from_pretrained(folder)
    for text in ("a ord Ord ORD xOrd", "[E1] [e1] a[E1]a", "replay play Play", "[New] [new]"):
        assert tokenizer.encode(text).ids.tolist() == reference(text)["input_ids"], text
    added = [tokenizer.token_to_id(token) for token in extra]
    assert added == [size + 1, reference.convert_tokens_to_ids("play"), size + 2]
    assert set(added) < tokenizer.special_ids
    assert size not in tokenizer.special_ids


def test_an_added_token_may_have_a_role(tmp_path: Path) -> None:
    """As the padding that GPT-2 is given."""
    transformers = pytest.importorskip("transformers")
    folder = write_byte_level(tmp_path, ["<|endoftext|>"])
    size = len(Tokenizer.load(folder))
    (folder / "added_tokens.json").write_text(json.dumps({"<|pad|>": size}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer", "pad_token": "<|pad|>"}))
    tokenizer, reference = Tokenizer.load(folder), transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.padding_id == reference.pad_token_id == size
    assert tokenizer.encode("a dog<|pad|>").ids.tolist() == reference("a dog<|pad|>")["input_ids"]
    assert tokenizer.notes == ()


@pytest.mark.parametrize(
    ("listed", "ids"),
    [
        (["[E1]"], 1),
        ({"entity_token": "[E1]"}, 1),
        ([{"content": "[E1]", "lstrip": True}], 1),
        ("[E1]", 0),
        ([3], 0),
        ([{"lstrip": True}], 0),
    ],
)
def test_how_special_tokens_without_a_role_are_listed(listed: object, ids: int, tmp_path: Path) -> None:
    folder = write_vocabulary(tmp_path, {"do_lower_case": False, "extra_special_tokens": listed})
    if ids:
        assert Tokenizer.load(folder).encode("a[E1]a").tokens == ["[CLS]", "a", "[E1]", "a", "[SEP]"]
    else:
        with pytest.raises(CheckpointError, match=r"'extra_special_tokens' lists .* which is no token: correct it"):
            Tokenizer.load(folder)


def test_switches_that_are_null_are_not_said(tmp_path: Path) -> None:
    folder = write_vocabulary(tmp_path, {"do_lower_case": True, "tokenize_chinese_chars": None})
    assert Tokenizer.load(folder).encode("博博").tokens[1:-1] == ["博", "博"]
    assert "taken as cased" in Tokenizer.load(write_vocabulary(tmp_path / "guessed", {"do_lower_case": None})).notes[0]
    Tokenizer.load(folder).save(folder)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": null, "tokenize_chinese_chars": null, "strip_accents": null}')
    assert Tokenizer.load(folder).encode("THE 博博").tokens[1:-1] == ["the", "博", "博"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "BertJapaneseTokenizer"}, r"tokenizer_class 'BertJapaneseTokenizer'"),
        ("config.json", {"model_type": "bert", "tokenizer_class": "BertweetTokenizer"}, r"tokenizer_class 'BertweetTokenizer'"),
        ("tokenizer_config.json", {"word_tokenizer_type": "mecab"}, r"word_tokenizer_type 'mecab'"),
        ("tokenizer_config.json", {"subword_tokenizer_type": "character"}, r"subword_tokenizer_type 'character'"),
        ("tokenizer_config.json", {"word_tokenizer_type": "basic", "tokenizer_class": "BertTokenizerFast"}, ""),
        ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}, ""),
        ("config.json", {"tokenizer_class": "ElectraTokenizer"}, ""),
    ],
)
def test_tokenizers_that_a_vocabulary_does_not_make_are_refused(name: str, content: dict[str, str], told: str, tmp_path: Path) -> None:
    folder = write_vocabulary(tmp_path)
    expected = Tokenizer.load(folder)
    (folder / name).write_text(json.dumps(content))
    if told:
        with pytest.raises(CheckpointError, match=rf"\({told}\): save the tokenizer as tokenizer\.json"):
            Tokenizer.load(folder)
        expected.save(folder)  # with a tokenizer.json nothing is left to be known
        (folder / name).write_text(json.dumps(content))
    assert Tokenizer.load(folder).encode(TEXTS[0]).ids.tolist() == expected.encode(TEXTS[0]).ids.tolist()


def test_a_vocabulary_of_merges_that_are_not_of_bytes_is_refused(tmp_path: Path) -> None:
    """As HerBERT's: the end of a word is written, and letters stand for themselves."""
    (tmp_path / "vocab.json").write_text(json.dumps({"<s>": 0, "</s>": 1, "<unk>": 2, "k": 3, "o": 4, "t</w>": 5, "ot</w>": 6}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\no t</w>\n")
    with pytest.raises(CheckpointError, match=r"vocab\.json is no byte-level vocabulary \(254 of the 256 symbols"):
        Tokenizer.load(tmp_path)


def test_a_role_that_the_vocabulary_does_not_know_is_noted(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_vocabulary(tmp_path, {"do_lower_case": False, "pad_token": {"content": "<nothing>"}}))
    assert tokenizer.padding_id == 0
    assert any("<nothing>" in note for note in tokenizer.notes)


def test_what_is_missing_or_damaged_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        Tokenizer.load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"looked for tokenizer\.json"):
        Tokenizer.load(tmp_path)
    (tmp_path / "spiece.model").touch()
    with pytest.raises(CheckpointError, match="is no SentencePiece model"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    with pytest.raises(CheckpointError, match=r"merges\.txt"):
        Tokenizer.load(tmp_path)
    (tmp_path / "merges.txt").write_text("a b\n")
    with pytest.raises(CheckpointError, match=r"255 of the 256 symbols for bytes are missing, .* save the tokenizer as tokenizer\.json"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(pre_tokenizers.ByteLevel.alphabet())}))
    with pytest.raises(CheckpointError, match="cannot be read"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(CheckpointError, match="no unknown token"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(CheckpointError, match="UTF-8"):
        Tokenizer.load(tmp_path)
    for content in ('{"model": {', "[]", '{"model": {"type": "WordPiece"}}'):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(CheckpointError):
            Tokenizer.load(tmp_path)


def test_settings_that_cannot_apply_are_refused(tmp_path: Path) -> None:
    folder = write_byte_level(tmp_path / "plain", ROBERTA)
    with pytest.raises(SettingsError, match="lower_case=True"):
        Tokenizer.load(folder, lower_case=True)
    assert Tokenizer.load(folder, lower_case=False).cls_id == 0
    Tokenizer.load(folder).save(tmp_path / "saved")
    with pytest.raises(SettingsError, match="lower_case=True"):
        Tokenizer.load(tmp_path / "saved", lower_case=True)
    with pytest.raises(SettingsError, match="non-empty strings"):
        Tokenizer.load(folder).add_tokens("word")


def test_byte_level_options(tmp_path: Path) -> None:
    folder = write_byte_level(tmp_path / "a", ROBERTA)
    (folder / "tokenizer_config.json").write_text('{"add_prefix_space": true}')
    prefixed = Tokenizer.load(folder)
    assert prefixed.encode("the").ids.tolist() == Tokenizer.load(write_byte_level(tmp_path / "b", ROBERTA)).encode(" the").ids.tolist()
    prefixed.save(tmp_path / "c")
    (tmp_path / "c" / "tokenizer_config.json").write_text('{"add_prefix_space": false}')
    assert "add_prefix_space=False" in Tokenizer.load(tmp_path / "c").notes[0]
    assert Tokenizer.load(tmp_path / "c").encode("the").ids.tolist() != prefixed.encode("the").ids.tolist()
    bert_like = Tokenizer.load(write_byte_level(tmp_path / "d", ["[CLS]", "[SEP]", "[PAD]", "[MASK]"]))
    assert (bert_like.encode("a", "b").ids.tolist()[0], bert_like.special_tokens_per_sequence(pair=True)) == (0, 3)


def test_tokenizers_travel_to_other_processes(small: Callable[[str], Tokenizer]) -> None:
    copy = pickle.loads(pickle.dumps(small("wordpiece")))
    assert copy.fingerprint() == small("wordpiece").fingerprint()
    assert copy.encode("the dog").ids.tolist() == small("wordpiece").encode("the dog").ids.tolist()


def test_a_tokenizer_of_the_library_is_taken_over(tmp_path: Path) -> None:
    Tokenizer.load(write_vocabulary(tmp_path)).save(tmp_path)
    backend = Backend.from_file(str(tmp_path / "tokenizer.json"))
    assert Tokenizer(backend, {"cls_token": "[CLS]"}).fingerprint() == Tokenizer.load(tmp_path).fingerprint()
