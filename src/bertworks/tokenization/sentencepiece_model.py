"""Vocabularies that SentencePiece trained (Kudo & Richardson 2018), as ALBERT, XLM-RoBERTa and CamemBERT come with.

The file is a protocol buffer of which a few fields matter: the pieces with their scores, the kind of model, and the
normalizer's table of characters. The pieces become a Unigram model (Kudo 2018) of the `tokenizers` library.
"""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from bertworks.checkpoints.opening import read_file
from bertworks.errors import CheckpointError

FILES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
Family = Literal["albert", "xlm-roberta", "camembert"]

_UNIGRAM = 1
_CONTROL, _USER_DEFINED = 3, 4
_LARGEST_FILE = 300_000_000
_SPACE = "▁"
_UNUSED_SCORE = -100.0
"""Far below any piece's own score: never chosen."""


@dataclass(frozen=True)
class SentencePieceModel:
    """What a file holds, as far as it is needed."""

    pieces: list[tuple[str, float]]
    """Pieces and their scores (logarithms of probabilities), in the order of their ids."""
    kinds: list[int]
    """What each piece is: 1 ordinary, 2 unknown, 3 control, 4 user-defined, 6 a byte."""
    unknown: int
    """Id of the unknown piece."""
    characters: bytes
    """The normalizer's compiled table of replacements; empty where there is none."""


def read_model(path: Path) -> SentencePieceModel:
    """Raises `CheckpointError` where the file is damaged, or holds no Unigram model."""
    data = read_file(path, _LARGEST_FILE)
    pieces: list[tuple[str, float]] = []
    kinds: list[int] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    try:
        for number, value in _fields(data):
            if number == 1:
                piece = dict(_fields(value))
                pieces.append((piece[1].decode("utf-8"), struct.unpack("<f", piece.get(2, b"\0\0\0\0"))[0]))
                kinds.append(int(piece.get(3, 1)))
            elif number == 2:
                trainer = dict(_fields(value))
            elif number == 3:
                normalizer = dict(_fields(value))
    except (IndexError, KeyError, ValueError, struct.error, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} is no SentencePiece model or is damaged ({error}): download or copy it again") from None
    if not pieces:
        raise CheckpointError(f"{path} is no SentencePiece model: it has no pieces; download or copy it again")
    if trainer.get(3, _UNIGRAM) != _UNIGRAM:
        raise CheckpointError(f"{path} holds a SentencePiece model of another kind than Unigram, which no family here uses")
    unknown = int(trainer.get(40, 0))
    if not 0 <= unknown < len(pieces):
        raise CheckpointError(f"{path} gives its unknown piece the id {unknown}, which it does not have: download or copy it again")
    return SentencePieceModel(pieces, kinds, unknown, normalizer.get(2, b""))


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol buffer message: numbers as int, all else as bytes (encoding.md, "Message structure")."""
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _number(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _number(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > len(data):
            raise ValueError("cut off")
        yield tag >> 3, data[at : at + length]
        at += length


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A whole number of variable length, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def family_of(path: Path, tokenizer_config: Mapping[str, Any], model_config: Mapping[str, Any]) -> Family:
    """Which family's special tokens a vocabulary gets: as the files say, else as its own name is usual for."""
    named = f"{tokenizer_config.get('tokenizer_class', '')} {model_config.get('model_type', '')}".lower().replace("-", "")
    for family in ("camembert", "xlm-roberta", "albert"):
        if family.replace("-", "") in named:
            return family
    return "albert" if path.name == "spiece.model" else "xlm-roberta"


def unigram(model: SentencePieceModel, family: Family, *, lower_case: bool = True, keep_accents: bool = False) -> Backend:
    """The tokenizer of a family on a SentencePiece vocabulary. `lower_case` and `keep_accents` are ALBERT's.

    ALBERT numbers its pieces as the file does; RoBERTa's descendants put fairseq's special tokens before them and the
    mask behind.
    """
    if family == "albert":
        vocabulary = [(piece, score + (_UNUSED_SCORE if re.fullmatch(r".*[0-9],", piece) else 0)) for piece, score in model.pieces]
        unknown, steps = model.unknown, _albert_cleaning(lower_case, keep_accents)
    elif family == "xlm-roberta":
        vocabulary = [*_scored("<s>", "<pad>", "</s>", "<unk>"), *model.pieces[3:], *_scored("<mask>")]
        unknown, steps = 3, []
    else:
        special = [*_scored("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>"), ("<unk>NOTUSED", _UNUSED_SCORE)]
        vocabulary = [*special, *model.pieces[1:], *_scored("<mask>")]
        unknown, steps = 3, []
    backend = Backend(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    steps += [normalizers.Precompiled(model.characters)] if model.characters else []
    if steps:
        backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always")]
    )
    backend.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme="always")
    known = {piece for piece, _ in vocabulary}
    marked = [(piece, kind) for (piece, _), kind in zip(model.pieces, model.kinds, strict=True) if kind in (_CONTROL, _USER_DEFINED)]
    backend.add_tokens([AddedToken(piece, normalized=False, special=kind == _CONTROL) for piece, kind in marked if piece in known])
    begin, end = ("[CLS]", "[SEP]") if family == "albert" else ("<s>", "</s>")
    numbers = [(token, backend.token_to_id(token)) for token in (begin, end)]
    if any(number is None for _, number in numbers):
        raise CheckpointError(
            f"the SentencePiece vocabulary has no {begin} and {end}, which {family} puts around texts: it is of another family"
        )
    pair = f"{begin}:0 $A:0 {end}:0 $B:1 {end}:1" if family == "albert" else f"{begin}:0 $A:0 {end}:0 {end}:0 $B:0 {end}:0"
    backend.post_processor = processors.TemplateProcessing(single=f"{begin}:0 $A:0 {end}:0", pair=pair, special_tokens=numbers)
    return backend


def _albert_cleaning(lower_case: bool, keep_accents: bool) -> list[Any]:
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    steps += [] if keep_accents else [normalizers.NFKD(), normalizers.StripAccents()]
    return steps + ([normalizers.Lowercase()] if lower_case else [])


def _scored(*tokens: str) -> Sequence[tuple[str, float]]:
    return [(token, 0.0) for token in tokens]
