"""The tokenizer: from text to token ids and back, with every token accounted for."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import get_args

import numpy as np
from tokenizers import Tokenizer as Backend

from bertworks.batch import Array
from bertworks.errors import CheckpointError, DataError, SettingsError, nearest
from bertworks.tokenization import parallelism, roles, saving
from bertworks.tokenization.encoding import EncodedText, Encoding
from bertworks.tokenization.library import explained
from bertworks.tokenization.loading import Casing, read
from bertworks.tokenization.scripts import known_scripts, warn_of_foreign_scripts
from bertworks.tokenization.template import Template, derive_template
from bertworks.tokenization.windows import Overflow, Selection, select

parallelism.configure()

# Texts handed to the library at a time: enough for all cores, few enough that its objects, some 100 bytes a
# token, are let go early where only ids are wanted.
_CHUNK = 1024

_TOKENS_ARE_TEXT = ("WordPiece", "Unigram", "WordLevel")
"""Kinds of tokenizers whose vocabulary is written in characters."""
_SPARSEST, _GAPS = 2, 10_000
"""A vocabulary may leave out about every second id and some thousands: a model has a row of embeddings for each."""


class Tokenizer:
    """A tokenizer of any family: WordPiece, byte-level BPE, or whatever else a tokenizer.json describes.

    Texts are `str`. A result says what became of each of its tokens; nothing is cut off without a number.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\nthe\\ndog\\n##s\\n")
    ...     tokenizer = Tokenizer.load(folder)
    >>> tokenizer.encode("The dogs").tokens
    ['[CLS]', 'the', 'dog', '##s', '[SEP]']
    """

    def __init__(self, backend: Backend, special_tokens: Mapping[str, str] | None = None, notes: Sequence[str] = ()) -> None:
        """Takes a tokenizer of the library `tokenizers` over (which is changed: it will not truncate or pad).

        `special_tokens` names tokens by role (`cls_token`, `sep_token`, `mask_token`, `unk_token`, `pad_token`,
        `bos_token`, `eos_token`); a role not named gets the usual token where the vocabulary has it.
        Raises `CheckpointError` where its rule for special tokens is not one that adds constant tokens.
        """
        with explained(lambda reason: CheckpointError(f"this tokenizer cannot be used: {reason}")):
            backend.no_truncation()
            backend.no_padding()
            found, more = roles.resolve_roles(special_tokens or {}, lambda token: backend.token_to_id(token) is not None)
            roles.protect(backend, found)
            self._templates = (derive_template(backend, pair=False), derive_template(backend, pair=True))
        self._backend = backend
        self._roles = found
        self.warns_of_scripts = True
        """Whether it still warns of texts of scripts that its vocabulary has no words of: it does so once."""
        self.notes: tuple[str, ...] = tuple(dict.fromkeys([*notes, *more]))
        """What was guessed or settled in loading, in sentences for the user."""

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        lower_case: bool | None = None,
        strip_accents: bool | None = None,
        chinese_characters: bool | None = None,
    ) -> "Tokenizer":
        """Reads a tokenizer from a model folder, or from one file of it.

        It may be a `tokenizer.json`, a `vocab.txt`, or a `vocab.json` (`encoder.json`) with `merges.txt`
        (`vocab.bpe`) beside it, with or without `tokenizer_config.json`. The three settings override what the
        files say of BERT's text cleaning; `notes` tells what was guessed.

        Raises `CheckpointError` where files are missing, damaged or disagree, `SettingsError` where a setting
        cannot apply to the tokenizer.
        """
        loaded = read(path, Casing(lower_case, strip_accents, chinese_characters))
        try:
            tokenizer = cls(loaded.backend, loaded.roles, loaded.notes)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}; download or copy it again") from error
        tokens, size = loaded.backend.get_vocab_size(with_added_tokens=True), tokenizer.vocabulary_size
        if size > _SPARSEST * tokens + _GAPS:
            raise CheckpointError(f"{path}: the tokenizer has {tokens:,} tokens, but an id of {size - 1:,}: download or copy it again")
        return tokenizer

    def save(self, folder: str | PathLike[str], *, segments: bool = True, max_tokens: int | None = None) -> None:
        """Writes the tokenizer into a folder, for `load` and for transformers' `AutoTokenizer`, which makes the same ids.

        With `segments` False, `AutoTokenizer` gives none: for the folder of a model that cannot be told them (DistilBERT).
        `max_tokens` is what the model reads at most: transformers' truncation cuts texts to it.
        """
        saving.write(self._backend, self._roles, Path(folder), segments=segments, max_tokens=max_tokens)

    def encode(self, text: str, pair: str | None = None) -> Encoding:
        """Encodes one text, or two as a pair, whole and without a limit.

        Raises `DataError` where a text is no `str`, has a lone surrogate, or gives an empty sequence.
        """
        return self.encode_batch([text], None if pair is None else [pair])[0][0]

    def encode_batch(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        max_tokens: int | None = None,
        overflow: Overflow = "window",
        stride: int | None = None,
        offsets: bool = True,
        first_row: int | Sequence[int] = 0,
    ) -> list[list[Encoding]]:
        """Encodes rows of one text each, or of two where `pairs` is given: for each row the list of its sequences.

        A row that fits into `max_tokens` (special tokens included; None is no limit) is one sequence. Otherwise
        `overflow` decides: `window` reads it whole in overlapping windows (of a pair the longer text, see
        `windows.pair_windows`), with `stride` tokens of overlap or, by default, a quarter of the room;
        `head_tail` keeps the first quarter and the last three quarters of the room (Sun et al. 2019);
        `truncate` keeps the beginning, of a pair by taking from the longer text first; `error` refuses the row.
        `offsets=False` is faster and leaves out character spans and word numbers. `first_row` is the number of the
        first row in messages, for callers who encode in parts; or the numbers of all rows, where several are of one.

        Raises `DataError` that names the row where a text cannot be encoded, `SettingsError` where the limit or
        the stride is out of range; warns once (`ScriptWarning`) where most letters are of scripts that the vocabulary has no words of.
        """
        columns = [_checked(texts, "texts", first_row)]
        if pairs is not None:
            columns.append(_checked(pairs, "pairs", first_row))
        numbers = row_numbers(first_row, len(columns[0]))
        if len({len(column) for column in columns}) > 1:
            raise DataError(f"{len(columns[0])} texts but {len(columns[1])} pairs: there must be as many")
        template = self._templates[len(columns) - 1]
        room = self._room(template, len(columns), max_tokens, overflow, stride)
        self._look_at_scripts(columns[0])
        sources = [self._tokenize(column, offsets, numbers) for column in columns]
        rows = zip(numbers, zip(*sources, strict=True), strict=True)
        return [self._sequences(number, row, template, room, overflow, stride) for number, row in rows]

    def decode(self, ids: Sequence[int] | Array, skip_special_tokens: bool = True) -> str:
        """Text of token ids, as near to the original as the vocabulary allows (an uncased one gives lower case).

        Raises `DataError` where an id is outside the vocabulary.
        """
        numbers = [int(number) for number in ids]
        wrong = next((number for number in numbers if not 0 <= number < self.vocabulary_size), None)
        if wrong is not None:
            raise DataError(f"decode: the id {wrong} is outside the vocabulary of {self.vocabulary_size:,} tokens")
        with explained(lambda reason: DataError(f"decode: these {len(numbers):,} ids cannot be made a text: {reason}")):
            return self._backend.decode(numbers, skip_special_tokens=skip_special_tokens)

    def add_tokens(self, tokens: Sequence[str], special: bool = False) -> int:
        """Adds tokens to the vocabulary; the number really added is returned.

        A token that the vocabulary has keeps its id, and is from then on found in a text as it is written.

        A model for this tokenizer needs `vocabulary_size` rows of embeddings afterwards.
        """
        if isinstance(tokens, str) or not all(isinstance(token, str) and token for token in tokens):
            raise SettingsError("add_tokens takes a list of non-empty strings")
        added = sum(self.token_to_id(token) is None for token in set(tokens))
        (self._backend.add_special_tokens if special else self._backend.add_tokens)(list(tokens))
        for name in ("vocabulary_size", "special_ids", "_fingerprint"):
            vars(self).pop(name, None)
        return added

    @cached_property
    def vocabulary_size(self) -> int:
        """Rows of embeddings that a model needs: the largest id, added tokens included, plus one."""
        return max(self._backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def token_to_id(self, token: str) -> int | None:
        """The id of a token as the vocabulary writes it; None where it has no such token."""
        return self._backend.token_to_id(token)

    def id_to_token(self, number: int) -> str | None:
        """The token of an id as the vocabulary writes it; None where there is none."""
        return self._backend.id_to_token(number) if number >= 0 else None

    @property
    def cls_id(self) -> int | None:
        """Id of the token at the beginning of a sequence, by which it is classified."""
        return self._role("cls_token")

    @property
    def sep_id(self) -> int | None:
        """Id of the token that ends a text."""
        return self._role("sep_token")

    @property
    def mask_id(self) -> int | None:
        """Id of the token that stands for a hidden one."""
        return self._role("mask_token")

    @property
    def unknown_id(self) -> int | None:
        """Id of the token for what the vocabulary does not know; None where it knows everything (GPT-2)."""
        return self._role("unk_token")

    @property
    def padding_id(self) -> int | None:
        """Id of the token that fills up padded batches; bertworks itself needs none."""
        return self._role("pad_token")

    @property
    def begin_id(self) -> int | None:
        """Id of the token that begins a generated text."""
        return self._role("bos_token")

    @property
    def end_id(self) -> int | None:
        """Id of the token that ends a generated text."""
        return self._role("eos_token")

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of all special tokens: none of them is a piece of a text."""
        added = {number for number, token in self._backend.get_added_tokens_decoder().items() if token.special}
        return frozenset(added | {number for role in self._roles if (number := self._role(role)) is not None})

    def special_tokens_per_sequence(self, pair: bool = False) -> int:
        """Special tokens that are added to one text, or to a pair."""
        return self._templates[pair].special_tokens

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of all that decides the ids: equal for tokenizers that encode equally by construction."""
        return self._fingerprint

    def __len__(self) -> int:
        return self.vocabulary_size

    def __repr__(self) -> str:
        return f"Tokenizer({type(self._backend.model).__name__}, {self.vocabulary_size:,} tokens)"

    @cached_property
    def _fingerprint(self) -> str:
        content = {"tokenizer": json.loads(self._backend.to_str()), "roles": self._roles}
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

    @cached_property
    def _words_by_space(self) -> bool:
        return self._backend.pre_tokenizer is None

    @cached_property
    def _known_scripts(self) -> tuple[frozenset[str], int]:
        """The scripts that the vocabulary has words of, and its size."""
        vocabulary = self._backend.get_vocab(with_added_tokens=False)
        return known_scripts(vocabulary), len(vocabulary)

    def _look_at_scripts(self, texts: list[str]) -> None:
        """Warns, once, of texts that the vocabulary has no words for. Tokens of bytes show no script and write every one."""
        if not self.warns_of_scripts or all(map(str.isascii, texts)) or type(self._backend.model).__name__ not in _TOKENS_ARE_TEXT:
            return
        self.warns_of_scripts = not warn_of_foreign_scripts(texts, lambda: self._known_scripts)

    def _role(self, role: str) -> int | None:
        return self._backend.token_to_id(self._roles[role]) if role in self._roles else None

    def _room(self, template: Template, texts: int, max_tokens: int | None, overflow: str, stride: int | None) -> int | None:
        """Tokens that the texts of a sequence may take; None where there is no limit."""
        if overflow not in get_args(Overflow):
            raise SettingsError(f"overflow={overflow!r} is none of {', '.join(get_args(Overflow))}.{nearest(overflow, get_args(Overflow))}")
        for name, value in (("max_tokens", max_tokens), ("stride", stride)):
            if value is not None and not isinstance(value, int | np.integer):
                raise SettingsError(f"{name} must be a whole number, not {value!r}")
        if max_tokens is None:
            return None
        room = max_tokens - template.special_tokens
        if room < texts:
            least = template.special_tokens + texts
            raise SettingsError(
                f"max_tokens={max_tokens} is too small for {template.special_tokens} special tokens and text: {least} at least"
            )
        if stride is not None and not 0 <= stride < room:
            raise SettingsError(f"stride={stride} must be from 0 to {room - 1}: max_tokens={max_tokens} leaves {room} tokens for text")
        return room

    def _tokenize(self, texts: list[str], offsets: bool, numbers: Sequence[int]) -> list[EncodedText]:
        encode = self._backend.encode_batch if offsets else self._backend.encode_batch_fast
        out: list[EncodedText] = []
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            first, last = numbers[start], numbers[start + len(chunk) - 1]
            rows = f"row {first}" if first == last else f"rows {first} to {last}"
            with explained(lambda reason, rows=rows: DataError(f"{rows}: a text cannot be tokenized: {reason}")):  # type: ignore[misc]
                unique = list(dict.fromkeys(chunk))  # many questions are asked on one context
                encodings = encode(unique, add_special_tokens=False)
            of_text = {text: EncodedText(text, e, offsets, self._words_by_space) for text, e in zip(unique, encodings, strict=True)}
            out += [of_text[text] for text in chunk]
        return out

    def _sequences(
        self, number: int, texts: tuple[EncodedText, ...], template: Template, room: int | None, overflow: Overflow, stride: int | None
    ) -> list[Encoding]:
        lengths = [len(text) for text in texts]
        total = sum(lengths)
        if total + template.special_tokens == 0:
            raise DataError(f"row {number} has no token and this tokenizer adds no special tokens: leave out empty texts")
        if room is not None and total > room and overflow == "error":
            raise DataError(
                f"row {number} has {total + template.special_tokens:,} tokens, more than max_tokens={room + template.special_tokens:,}: "
                "shorten it, raise max_tokens, or choose overflow='window' (reads all), 'head_tail' or 'truncate'"
            )
        selections: list[tuple[Selection, ...]] = select(lengths, total if room is None else room, overflow, stride)
        lost = 0 if overflow == "window" else total - sum(end - start for spans in selections[0] for start, end in spans)
        arrays = [text.ids for text in texts]
        unknown = self.unknown_id
        out = []
        for selection in selections:
            ids, pieces = template.fill(arrays, selection)
            out.append(Encoding(ids, lost, pieces, texts, unknown, self._backend.id_to_token))
        return out


def row_numbers(first_row: int | Sequence[int], count: int) -> Sequence[int]:
    """The numbers of `count` rows in messages: from the first on, or as they are given.

    >>> list(row_numbers(7, 3)), row_numbers([4, 4, 9], 3)
    ([7, 8, 9], [4, 4, 9])
    """
    return range(first_row, first_row + count) if isinstance(first_row, int) else first_row


def _checked(texts: object, name: str, first_row: int | Sequence[int]) -> list[str]:
    """The texts as a list, each of them one that the library can take. Raises `DataError` that names the row."""
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise DataError(f"{name} must be a list of strings, not one {type(texts).__name__}: write [text]")
    rows = list(texts)
    for number, text in zip(row_numbers(first_row, len(rows)), rows, strict=True):
        if not isinstance(text, str):
            raise DataError(f"row {number} of {name} is {text!r:.40} ({type(text).__name__}), not a string: leave it out or convert it")
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise DataError(
                    f"row {number} of {name} has a lone surrogate (half a character) at place {error.start}: "
                    "read the file as UTF-8, or repair the text with text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
                ) from error
    return rows
