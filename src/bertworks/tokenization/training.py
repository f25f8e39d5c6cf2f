"""Training tokenizers: BERT's WordPiece and the byte-level byte-pair encoding of GPT-2, RoBERTa and ModernBERT.

Both vocabularies are learnt by byte-pair encoding (`merges.py`), which gives the pieces and, by the order in which they
are learnt, the rules of their use. Byte-level BPE applies these rules. WordPiece forgets them: it cuts a word greedily into
the longest pieces that the vocabulary has, from left to right (Devlin et al. 2019, published code), so that a few pieces
serve as steps to longer ones only and are never seen in a text. How Google learnt BERT's own vocabulary (Schuster &
Nakajima 2012, by the gain in likelihood) was never published as code; pieces learnt by frequency are what the field uses.

The same texts give the same tokenizer, to the byte: whatever the order of the texts, the number of threads or the hash
seed (the order decides only where there are more than millions of different words: see `WordCounter`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Literal, get_args

from tokenizers import Tokenizer as Backend
from tokenizers import normalizers

from bertworks.errors import DataError, SettingsError, nearest
from bertworks.tokenization.alphabets import CONTINUING, LONGEST_WORDPIECE_WORD, Alphabet
from bertworks.tokenization.families import byte_level, wordpiece
from bertworks.tokenization.merges import learn_merges
from bertworks.tokenization.tokenizer import Tokenizer
from bertworks.tokenization.word_counts import LONGEST_WORD, WordCounter

Kind = Literal["wordpiece", "bpe"]
SpecialTokens = Literal["bert", "roberta"]

SPECIAL_TOKENS: dict[str, dict[str, str]] = {
    "bert": {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"},
    "roberta": {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"},
}
"""The special tokens of the two families, in the order of their ids from 0, by their roles."""
_LIMIT_ALPHABET = 1000
_SMALLEST_BYTE_LEVEL = 256 + 5
_EVERY = 256
"""Pieces between two reports of progress."""


@dataclass(frozen=True)
class TokenizerSettings:
    """What tokenizer to train. `None` means: as is usual for the kind."""

    kind: Kind = "wordpiece"
    """wordpiece (BERT) or bpe (byte-level: RoBERTa, ModernBERT, GPT-2)."""
    vocabulary_size: int = 30_000
    """Tokens, special ones included."""
    lower_case: bool | None = None
    """Whether text is lower-cased first. Usual: WordPiece yes, BPE no."""
    strip_accents: bool | None = None
    """Whether accents are taken off letters. Usual: where text is lower-cased."""
    chinese_characters: bool | None = None
    """Whether each Chinese character is a word (WordPiece only). Usual: yes."""
    special_tokens: SpecialTokens | None = None
    """bert ([PAD] [UNK] [CLS] [SEP] [MASK]) or roberta (<s> <pad> </s> <unk> <mask>). Usual: WordPiece bert, BPE roberta."""
    limit_alphabet: int | None = None
    """Most different characters that are kept, the most frequent ones; a word with another one is unknown (WordPiece only). Usual: 1000."""
    minimum_frequency: int = 2
    """How often two pieces must stand side by side to become one."""
    multiple_of: int = 1
    """The vocabulary size is rounded up to a multiple of this, with unused tokens where the text gives too few."""

    def __post_init__(self) -> None:
        problems = self.problems()
        if problems:
            raise SettingsError("; ".join(problems))

    def problems(self) -> list[str]:
        """Everything that is wrong, in one list."""
        out = []
        for name, kinds in (("kind", Kind), ("special_tokens", SpecialTokens)):
            value = getattr(self, name)
            if value not in get_args(kinds) and not (name == "special_tokens" and value is None):
                out.append(f"{name} must be one of {', '.join(get_args(kinds))}, not {value!r}.{nearest(str(value), get_args(kinds))}")
        for name in ("vocabulary_size", "limit_alphabet", "minimum_frequency", "multiple_of"):
            value = getattr(self, name)
            if not (value is None and name == "limit_alphabet") and (type(value) is not int or value < 1):
                out.append(f"{name} must be a whole number above 0, not {value!r}")
        if self.kind == "bpe" and not out and self.vocabulary_size < _SMALLEST_BYTE_LEVEL:
            out.append(f"vocabulary_size must be {_SMALLEST_BYTE_LEVEL} at least, for the 256 bytes and the special tokens")
        foreign = ("limit_alphabet", "chinese_characters") if self.kind == "bpe" else ()
        given = [name for name in foreign if getattr(self, name) is not None]
        return out + [f"{name} is for WordPiece only: byte-level BPE knows every character by its bytes" for name in given]

    def resolved(self) -> "TokenizerSettings":
        """The same with everything filled in that was left open."""
        wordpiece_kind = self.kind == "wordpiece"
        lower = wordpiece_kind if self.lower_case is None else self.lower_case
        usual: dict[str, Any] = {"lower_case": lower, "strip_accents": lower, "special_tokens": "bert" if wordpiece_kind else "roberta"}
        if wordpiece_kind:
            usual |= {"chinese_characters": True, "limit_alphabet": _LIMIT_ALPHABET}
        return TokenizerSettings(**asdict(self) | {name: value for name, value in usual.items() if getattr(self, name) is None})

    @property
    def roles(self) -> Mapping[str, str]:
        """The special tokens by their roles."""
        return SPECIAL_TOKENS[self.resolved().special_tokens or ""]


@dataclass(frozen=True)
class TrainedTokenizer:
    """A tokenizer and how it came about."""

    tokenizer: Tokenizer
    settings: TokenizerSettings
    """As resolved."""
    alphabet: int
    """Single characters (or bytes) in the vocabulary, those that continue a word not counted again."""
    characters: int
    """Different characters in the words."""
    pieces: int
    """Pieces of several characters that were learnt."""
    unused_tokens: int
    """Tokens without a use, which fill the vocabulary up to a multiple."""
    notes: list[str] = field(default_factory=list)
    """What a user should know, in sentences."""


def word_counter(settings: TokenizerSettings) -> WordCounter:
    """A counter of words as a tokenizer with these settings makes them."""
    roles = settings.roles
    return WordCounter(_backend(settings, {token: number for number, token in enumerate(roles.values())}), roles.values())


def train_tokenizer(texts: Iterable[str], settings: TokenizerSettings | None = None) -> TrainedTokenizer:
    """Trains a tokenizer on texts, which are taken one by one and not kept.

    Raises `DataError` where there is no word in them, `SettingsError` where the vocabulary is too small for its alphabet.

    >>> trained = train_tokenizer(["hug hug hugs", "pug pun bun"], TokenizerSettings(vocabulary_size=18))
    >>> trained.tokenizer.encode("hugs bug").tokens
    ['[CLS]', 'hug', '##s', 'b', '##ug', '[SEP]']
    """
    settings = settings or TokenizerSettings()
    counter = word_counter(settings)
    counter.add(texts)
    return learn_tokenizer(counter, settings)


def learn_tokenizer(
    counter: WordCounter, settings: TokenizerSettings, progress: Callable[[int, int], None] | None = None
) -> TrainedTokenizer:
    """The tokenizer that counted words give; `progress` is called with the pieces learnt and wanted.

    The counter must come from `word_counter` with the same kind and the same cleaning of text. Raises as `train_tokenizer` does.
    """
    settings = settings.resolved()
    words = counter.words
    if not words:
        raise DataError("there is no word to learn from: the texts are empty, or of white space only")
    alphabet = Alphabet.of_bytes(words) if settings.kind == "bpe" else Alphabet.of_characters(words, settings.limit_alphabet or 0)
    tokens = [*settings.roles.values(), *alphabet.symbols]
    first, size = len(settings.roles), -(-settings.vocabulary_size // settings.multiple_of) * settings.multiple_of
    if size < len(tokens):
        raise SettingsError(_too_small(len(settings.roles), size, alphabet))
    merges: list[tuple[str, str]] = []
    pairs = learn_merges(alphabet.words, alphabet.lengths, alphabet.counts, len(alphabet.symbols), minimum_count=settings.minimum_frequency)
    wanted = size - len(tokens)
    for left, right in islice(pairs, wanted):
        merges.append((tokens[first + left], tokens[first + right]))
        tokens.append(merges[-1][0] + (merges[-1][1] if settings.kind == "bpe" else merges[-1][1].removeprefix(CONTINUING)))
        if progress is not None and (len(merges) % _EVERY == 0 or len(merges) == wanted):
            progress(len(merges), wanted)
    unused = -len(tokens) % settings.multiple_of
    tokens += [f"[unused{number}]" for number in range(unused)]
    backend = _backend(settings, {token: number for number, token in enumerate(tokens)}, merges)
    notes = _notes(counter, settings, alphabet, len(tokens) - unused, wanted - len(merges))
    return TrainedTokenizer(Tokenizer(backend, settings.roles), settings, alphabet.kept, alphabet.met, len(merges), unused, notes)


def _backend(settings: TokenizerSettings, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]] = ()) -> Backend:
    settings = settings.resolved()
    lower, accents = bool(settings.lower_case), bool(settings.strip_accents)
    if settings.kind == "wordpiece":
        # None is how BERT's own files say that accents go where capitals go.
        said = None if accents == lower else accents
        chinese = bool(settings.chinese_characters)
        return wordpiece(vocabulary, settings.roles, lower_case=lower, strip_accents=said, chinese_characters=chinese)
    backend = byte_level(vocabulary, merges, settings.roles)
    if lower or accents:
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=False, handle_chinese_chars=False, strip_accents=accents, lowercase=lower
        )
    return backend


def _too_small(special: int, size: int, alphabet: Alphabet) -> str:
    symbols = len(alphabet.symbols)
    return (
        f"vocabulary_size={size:,} is too small: {special} special tokens and {symbols:,} single characters ({alphabet.kept:,}, and "
        f"{symbols - alphabet.kept:,} of them with {CONTINUING} inside words) come first; set {special + symbols:,} at least, or a "
        f"limit_alphabet below {alphabet.kept:,} (--limit-alphabet)"
    )


def _notes(counter: WordCounter, settings: TokenizerSettings, alphabet: Alphabet, tokens: int, missing: int) -> list[str]:
    notes = []
    if missing:
        notes.append(
            f"the text gives {tokens:,} tokens only, {missing:,} fewer than asked for: no further pair of pieces stands "
            f"{settings.minimum_frequency:,} times in it. Give more text, or ask for a smaller vocabulary"
        )
    if alphabet.left_out:
        notes.append(
            f"{len(alphabet.left_out):,} of {alphabet.met:,} characters are left out of the alphabet, the most frequent ones being "
            f"{' '.join(alphabet.left_out[:8])}"
        )
    if alphabet.unknown:
        notes.append(
            f"{alphabet.unknown:,} times a word was met that is unknown: with such a character, or longer than "
            f"{LONGEST_WORDPIECE_WORD} characters"
        )
    if counter.too_long:
        notes.append(f"{counter.too_long:,} times a word of more than {LONGEST_WORD:,} characters was met, and not learnt from")
    if counter.forgotten:
        notes.append(f"there are too many different words: the rarest ones, met {counter.forgotten:,} times, were not learnt from")
    if counter.texts_with_special_tokens:
        notes.append(
            f"{counter.texts_with_special_tokens:,} texts have a special token written out ({' '.join(settings.roles.values())}): "
            "a tokenizer reads it as that token, not as text"
        )
    return notes
