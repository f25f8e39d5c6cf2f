"""Vocabularies that SentencePiece trained: the same ids, spans and words as SentencePiece and `transformers`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.errors import CheckpointError, SettingsError
from bertworks.tokenization import Tokenizer
from bertworks.tokenization.sentencepiece_model import read_model

sentencepiece = pytest.importorskip("sentencepiece")
transformers = pytest.importorskip("transformers")

LINES = [
    "the old baker opened the red door before sunrise.",
    "Her brother counted 3,500 letters and sold two silver spoons!",
    "Le café était fermé ; la boulangère dormait encore.",
    "Der Zug nach Köln hält in jedem Dorf, überall.",
    "my neighbour's cat, 'Minka', never forgot a face",
    "Старый мельник чинил часы у реки.",
    "小さな町の駅で、彼女は手紙を読んだ。",
    "ﬁne ligatures, ½ litres and № 7 in one line",
]
FAMILIES: dict[str, dict[str, Any]] = {
    "albert": {"file": "spiece.model", "class": "AlbertTokenizer"},
    "xlm-roberta": {"file": "sentencepiece.bpe.model", "class": "XLMRobertaTokenizer"},
    "camembert": {"file": "sentencepiece.bpe.model", "class": "CamembertTokenizer"},
}
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    st.lists(st.sampled_from([*" ".join(LINES).split(), " ", "  ", "\n", "\u00a0", "\u3000", "İ", "ß", "e\u0301", "😁"]), max_size=12).map(
        " ".join
    ),
)
MANY = settings(max_examples=150, deadline=None)


def write(folder: Path, family: str) -> Path:
    """A folder with a vocabulary of the family, trained on the lines above, and its tokenizer_config.json."""
    folder.mkdir()
    (folder / "lines.txt").write_text("\n".join(LINES * 30), encoding="utf-8")
    special = {
        "albert": {
            "pad_id": 0,
            "unk_id": 1,
            "bos_id": -1,
            "eos_id": -1,
            "control_symbols": ["[CLS]", "[SEP]"],
            "user_defined_symbols": ["[MASK]"],
        }
    }
    usual = {"unk_id": 0, "bos_id": 1, "eos_id": 2}
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines.txt"),
        model_prefix=str(folder / "made"),
        vocab_size=260,
        model_type="unigram",
        minloglevel=2,
        hard_vocab_limit=False,
        **special.get(family, usual),
    )
    (folder / "made.model").rename(folder / FAMILIES[family]["file"])
    (folder / "made.vocab").unlink()
    (folder / "lines.txt").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": FAMILIES[family]["class"]}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("pieces")
    return {family: write(base / family, family) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_is_read_as_sentencepiece_reads_it(folders: dict[str, Path], family: str) -> None:
    path = folders[family] / FAMILIES[family]["file"]
    theirs, ours = sentencepiece.SentencePieceProcessor(str(path)), read_model(path)
    assert [piece for piece, _ in ours.pieces] == [theirs.id_to_piece(i) for i in range(theirs.get_piece_size())]
    np.testing.assert_allclose(
        [score for _, score in ours.pieces], [theirs.get_score(i) for i in range(theirs.get_piece_size())], rtol=1e-6
    )
    assert ours.unknown == theirs.unk_id()
    assert [kind == 3 for kind in ours.kinds] == [theirs.is_control(i) for i in range(theirs.get_piece_size())]
    assert ours.characters


@pytest.mark.parametrize("family", ["xlm-roberta", "camembert"])
def test_ids_are_those_of_sentencepiece(folders: dict[str, Path], family: str) -> None:
    """fairseq's order: what SentencePiece calls 3 is 4 in XLM-RoBERTa (7 in CamemBERT); unknown is 3."""
    tokenizer, theirs = (
        Tokenizer.load(folders[family]),
        sentencepiece.SentencePieceProcessor(str(folders[family] / FAMILIES[family]["file"])),
    )
    shift = {"xlm-roberta": 1, "camembert": 4}[family]
    assert tokenizer.vocabulary_size == theirs.get_piece_size() + shift + 1
    for line in LINES:
        expected = [3 if piece == theirs.unk_id() else piece + shift for piece in theirs.encode(line)]
        assert tokenizer.encode(line).ids[1:-1].tolist() == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_spans_and_words_are_those_of_transformers(folders: dict[str, Path], family: str) -> None:
    tokenizer, reference = Tokenizer.load(folders[family]), transformers.AutoTokenizer.from_pretrained(folders[family])

    @MANY
    @given(TEXT, TEXT)
    def check(first: str, second: str) -> None:
        encoding, expected = tokenizer.encode(first, second), reference([first], [second], return_offsets_mapping=True)
        assert encoding.ids.tolist() == expected["input_ids"][0]
        ours, theirs = encoding.offsets.tolist(), [list(span) for span in expected["offset_mapping"][0]]
        texts = [None if text < 0 else text for text in encoding.sequence_ids.tolist()]
        assert texts == expected.sequence_ids()
        for (a, b), (c, d), text in zip(ours, theirs, texts, strict=True):
            if text is not None:
                whole = (first, second)[text]
                assert whole[a:b].strip() == whole[c:d].strip()
        assert [None if word < 0 else word for word in encoding.word_ids.tolist()] == expected.word_ids()

    check()


def test_segments_of_pairs(folders: dict[str, Path]) -> None:
    albert = Tokenizer.load(folders["albert"]).encode("the door", "a cat")
    assert set(albert.segment_ids.tolist()) == {0, 1}
    roberta = Tokenizer.load(folders["xlm-roberta"]).encode("the door", "a cat")
    assert set(roberta.segment_ids.tolist()) == {0}
    assert roberta.tokens.count("</s>") == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_as_tokenizer_json_it_is_the_same(folders: dict[str, Path], family: str, tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(folders[family])
    tokenizer.save(tmp_path)
    again, theirs = Tokenizer.load(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for line in LINES:
        ids = tokenizer.encode(line, LINES[0]).ids.tolist()
        assert again.encode(line, LINES[0]).ids.tolist() == ids
        assert theirs(line, LINES[0])["input_ids"] == ids
    assert again.mask_id == tokenizer.mask_id is not None


def test_a_comma_is_no_part_of_a_number_in_albert(folders: dict[str, Path]) -> None:
    """As in the code that ALBERT was published with."""
    tokens = Tokenizer.load(folders["albert"]).encode("counted 3, 500, letters").tokens
    assert not [token for token in tokens if token[-1:] == "," and token[-2:-1].isdigit()]


def test_casing_of_albert(folders: dict[str, Path]) -> None:
    lower, kept = (Tokenizer.load(folders["albert"], lower_case=value) for value in (True, False))
    assert lower.encode("Her CAFÉ").ids.tolist() == lower.encode("her cafe").ids.tolist()
    assert kept.encode("Her").ids.tolist() != kept.encode("her").ids.tolist()
    with pytest.raises(SettingsError, match="lower_case=True"):
        Tokenizer.load(folders["xlm-roberta"], lower_case=True)


@pytest.mark.parametrize("cut", [1, 7, 100, 2000])
def test_damaged_files(folders: dict[str, Path], tmp_path: Path, cut: int) -> None:
    data = (folders["xlm-roberta"] / "sentencepiece.bpe.model").read_bytes()
    (tmp_path / "spiece.model").write_bytes(data[:-cut] if cut < 1000 else b"\xff" * cut)
    with pytest.raises(CheckpointError, match=r"spiece\.model|vocabulary"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_of_a_family_that_is_not_known_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """As in Japanese RoBERTas and GPT-2s, whose vocabularies are read by T5's tokenizer."""
    (tmp_path / "spiece.model").write_bytes((folders["albert"] / "spiece.model").read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}')
    assert Tokenizer.load(tmp_path).cls_id is not None
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')
    with pytest.raises(CheckpointError, match="tokenizer_class 'T5Tokenizer'"):
        Tokenizer.load(tmp_path)


def test_another_kind_of_model(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(LINES * 30), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "lines.txt"),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=260,
        model_type="bpe",
        minloglevel=2,
        hard_vocab_limit=False,
    )
    with pytest.raises(CheckpointError, match="another kind than Unigram"):
        Tokenizer.load(tmp_path)
