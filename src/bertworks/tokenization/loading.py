"""Reading a tokenizer from the files that models come with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import normalizers, pre_tokenizers

from bertworks.checkpoints.files import read_json
from bertworks.checkpoints.opening import read_file
from bertworks.errors import CheckpointError, SettingsError
from bertworks.tokenization import sentencepiece_model
from bertworks.tokenization.added_tokens import ADDED, CONFIG, SPECIAL_MAP, add_listed, numbered
from bertworks.tokenization.families import byte_level, guess_case, wordpiece
from bertworks.tokenization.library import explained, growth
from bertworks.tokenization.roles import named_roles, resolve_roles

# With these classes transformers takes tokenizer.json as it is; with any other it rebuilds the tokenizer from the
# vocabulary and tokenizer_config.json.
_GENERIC_CLASSES = {"PreTrainedTokenizerFast", "TokenizersBackend"}
_PLAIN_CLASSES = {"Bert", "DistilBert", "Electra", "Albert", "Roberta", "XLMRoberta", "Camembert", "GPT2", "PreTrained"}
"""Classes of transformers that are known by a vocabulary alone, without the "Tokenizer" or "TokenizerFast" of their names."""
_PLAIN_KINDS = {"word_tokenizer_type": "basic", "subword_tokenizer_type": "wordpiece"}
"""How transformers' tokenizers of Japanese find words and pieces where that is BERT's way."""
_OTHER_KIND = (
    "save the tokenizer as tokenizer.json with transformers, AutoTokenizer.from_pretrained(…).save_pretrained(…), or take another model"
)

_LARGEST_FILE = 300_000_000
"""Bytes; ten times the largest tokenizer.json known."""
_MOST_GROWTH = 1000
"""No tokenizer makes a text a thousand times longer before it is divided; real ones make it hardly longer at all."""
_SWITCHES = ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space")


@dataclass
class Files:
    """The files of a tokenizer, as far as they are there."""

    tokenizer: Path | None = None
    vocabulary: Path | None = None
    merges: Path | None = None
    pieces: Path | None = None

    @classmethod
    def find(cls, path: Path) -> "Files":
        """The files in a folder, or those that belong to one file. Raises `CheckpointError` where there are none."""
        if path.is_dir():
            for name in ("tokenizer.json", "vocab.txt", "vocab.json", "encoder.json", *sentencepiece_model.FILES):
                if os.path.lexists(path / name):
                    return cls.of_file(path / name)
            looked_for = f"tokenizer.json, vocab.txt, vocab.json with merges.txt, {' and '.join(sentencepiece_model.FILES[:2])}"
            raise CheckpointError(f"no tokenizer in {path}: looked for {looked_for}. Copy or download the model again, with its tokenizer")
        if not os.path.lexists(path):
            raise CheckpointError(f"no tokenizer at {path}: there is no such file or folder")
        return cls.of_file(path)

    @classmethod
    def of_file(cls, path: Path) -> "Files":
        """The files that belong to one, which is known to be there."""
        if path.suffix == ".txt":
            return cls(vocabulary=path)
        if path.suffix == ".model":
            return cls(pieces=path)
        if path.name == "tokenizer.json" or isinstance(read_json(path, _LARGEST_FILE).get("model"), dict):
            return cls(tokenizer=path)
        for name in ("merges.txt", "vocab.bpe"):
            if os.path.lexists(path.with_name(name)):
                return cls(vocabulary=path, merges=path.with_name(name))
        raise CheckpointError(f"{path} is the vocabulary of a byte-level tokenizer; its merges.txt (or vocab.bpe) must lie beside it")


@dataclass
class Loaded:
    """A tokenizer as read: the library's object, what was noteworthy, and the roles that files name or that are usual."""

    backend: Backend
    notes: list[str]
    roles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Casing:
    """What a user wants of BERT's text cleaning, over what the files say; None leaves it to the files."""

    lower_case: bool | None = None
    strip_accents: bool | None = None
    chinese_characters: bool | None = None

    def asked(self) -> list[str]:
        return [f"{name}={value}" for name, value in vars(self).items() if value is not None]


def read(path: str | PathLike[str], casing: Casing) -> Loaded:
    """Reads a tokenizer from a folder or from one of its files.

    Raises `CheckpointError` where it is missing or damaged, `SettingsError` where `casing` cannot be followed.
    """
    files = Files.find(Path(path))
    folder = (files.tokenizer or files.vocabulary or files.pieces or Path(path)).parent
    config = _read_config(folder / CONFIG)
    lists = {CONFIG: config} | {name: _read_optional(folder / name) for name in (SPECIAL_MAP, ADDED)}
    named = named_roles(config, lists[SPECIAL_MAP])
    with explained(lambda reason: CheckpointError(f"the tokenizer in {folder} cannot be read: {reason}; download or copy it again")):
        if files.tokenizer is None:
            _refuse_other_kinds(folder, config)
        if files.tokenizer is not None:
            loaded = _from_tokenizer_json(files.tokenizer, config, casing)
        elif files.merges is not None and files.vocabulary is not None:
            loaded = _from_merges(files.vocabulary, files.merges, named, config, casing)
        elif files.pieces is not None:
            loaded = _from_pieces(files.pieces, config, casing)
        else:
            assert files.vocabulary is not None
            loaded = _from_vocabulary(files.vocabulary, named, config, casing)
        add_listed(loaded.backend, folder, lists, named.values())
        loaded.roles, unknown = resolve_roles(named, lambda token: loaded.backend.token_to_id(token) is not None)
        loaded.notes = [*unknown, *loaded.notes]
        loaded.backend.no_truncation()
        loaded.backend.no_padding()
        return loaded


def _refuse_other_kinds(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises `CheckpointError` where a file names a tokenizer that its vocabulary alone does not make."""
    name = str(config.get("tokenizer_class") or _read_optional(folder / "config.json").get("tokenizer_class") or "PreTrainedTokenizer")
    told = [f"{key} {config[key]!r:.60}" for key, plain in _PLAIN_KINDS.items() if config.get(key) not in (None, plain)]
    if name.removesuffix("Fast").removesuffix("Tokenizer") not in _PLAIN_CLASSES and name not in _GENERIC_CLASSES:
        told.insert(0, f"tokenizer_class {name!r:.60}")
    if told:
        raise CheckpointError(f"{folder}: a vocabulary alone does not make its kind of tokenizer ({', '.join(told)}): {_OTHER_KIND}")


def _from_tokenizer_json(path: Path, config: Mapping[str, Any], casing: Casing) -> Loaded:
    backend = Backend.from_buffer(read_file(path, _LARGEST_FILE))
    if growth(backend) > _MOST_GROWTH:  # known before any text is given to it
        raise CheckpointError(f"{path}: its replacements make texts longer beyond all measure: download or copy it again")
    notes: list[str] = []
    loaded = Loaded(backend, notes)
    if backend.truncation is not None or backend.padding is not None:
        notes.append("tokenizer.json asks for truncation or padding: not done")
    _settle_casing(loaded, config, casing)
    generic = str(config.get("tokenizer_class", "")) in _GENERIC_CLASSES
    prefix, splitter = config.get("add_prefix_space"), backend.pre_tokenizer
    if isinstance(prefix, bool) and isinstance(splitter, pre_tokenizers.ByteLevel) and splitter.add_prefix_space != prefix and not generic:
        splitter.add_prefix_space = prefix
        backend.pre_tokenizer = splitter
        notes.append(
            f"tokenizer_config.json and tokenizer.json disagree: took the former's add_prefix_space={prefix}, as transformers does"
        )
    return loaded


def _settle_casing(loaded: Loaded, config: Mapping[str, Any], casing: Casing) -> None:
    """Lower case, accents and Chinese characters: the user's word, else tokenizer_config.json's, else tokenizer.json's."""
    normalizer = loaded.backend.normalizer
    if not isinstance(normalizer, normalizers.BertNormalizer):
        if any(value for value in vars(casing).values()):
            raise SettingsError(f"{', '.join(casing.asked())}: this tokenizer does not clean its text as BERT does, so this cannot be set")
        return
    stored = {
        "do_lower_case": normalizer.lowercase,
        "strip_accents": normalizer.strip_accents,
        "tokenize_chinese_chars": normalizer.handle_chinese_chars,
    }
    asked = {"do_lower_case": casing.lower_case, "strip_accents": casing.strip_accents, "tokenize_chinese_chars": casing.chinese_characters}
    generic = config.get("tokenizer_class") in _GENERIC_CLASSES
    wanted = dict(stored)
    for name, value in stored.items():
        answer = asked[name]
        if answer is not None:
            wanted[name] = answer
        elif name in config and config[name] != value:
            difference = f"tokenizer_config.json says {name}={config[name]}, tokenizer.json {value}"
            wanted[name] = value if generic else config[name]
            loaded.notes.append(f"{difference}: took {'the latter' if generic else 'the former'}, as transformers does")
    if config and "do_lower_case" not in config and casing.lower_case is None and not normalizer.lowercase and not generic:
        loaded.notes.append("tokenizer.json keeps capitals, tokenizer_config.json does not say: kept (transformers may lower-case)")
    if wanted != stored:
        loaded.backend.normalizer = normalizers.BertNormalizer(
            clean_text=normalizer.clean_text,
            handle_chinese_chars=bool(wanted["tokenize_chinese_chars"]),
            strip_accents=wanted["strip_accents"],
            lowercase=bool(wanted["do_lower_case"]),
        )


def _from_vocabulary(path: Path, named: Mapping[str, str], config: Mapping[str, Any], casing: Casing) -> Loaded:
    lines = _read_text(path).split("\n")
    tokens = lines if lines[-1] else lines[:-1]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    roles, notes = resolve_roles(named, vocabulary.__contains__)[0], []
    if len(vocabulary) < len(tokens):
        notes.append(f"{len(tokens) - len(vocabulary):,} lines of {path.name} repeat a token: the last line of each counts")
    if "unk_token" not in roles:
        raise CheckpointError(f"{path} is no WordPiece vocabulary: it has no unknown token ([UNK]); download or copy it again")
    lower, accents = config.get("do_lower_case"), config.get("strip_accents")
    if casing.lower_case is None and not isinstance(lower, bool):
        lower, guessed_accents, reason = guess_case(vocabulary)
        accents = accents if "strip_accents" in config else guessed_accents
        remedy = "do_lower_case, true or false, in a file tokenizer_config.json beside it overrides this, as does lower_case"
        notes.append(f"nothing says whether {path.name} is cased; {reason}. {remedy}")
    backend = wordpiece(
        vocabulary,
        roles,
        lower_case=bool(lower if casing.lower_case is None else casing.lower_case),
        strip_accents=accents if casing.strip_accents is None else casing.strip_accents,
        chinese_characters=bool(
            config.get("tokenize_chinese_chars", True) if casing.chinese_characters is None else casing.chinese_characters
        ),
    )
    return Loaded(backend, notes)


def _from_merges(vocabulary_path: Path, merges_path: Path, named: Mapping[str, str], config: Mapping[str, Any], casing: Casing) -> Loaded:
    if any(value for value in vars(casing).values()):
        raise SettingsError(f"{', '.join(casing.asked())}: a byte-level tokenizer takes the text as it is, so this cannot be set")
    vocabulary = numbered(vocabulary_path, read_json(vocabulary_path, _LARGEST_FILE))
    missing = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - vocabulary.keys())
    if missing:
        first = f"{len(missing)} of the 256 symbols for bytes are missing, {missing[0]!r} for one"
        raise CheckpointError(f"{vocabulary_path} is no byte-level vocabulary ({first}): {_OTHER_KIND}")
    lines = [line for line in _read_text(merges_path).split("\n") if line and not line.startswith("#version")]
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    roles, _ = resolve_roles(named, vocabulary.__contains__)
    bare = str(config.get("tokenizer_class", "")).startswith("GPT2")
    backend = byte_level(vocabulary, merges, roles, prefix_space=config.get("add_prefix_space") is True, bare=bare)
    return Loaded(backend, [])


def _from_pieces(path: Path, config: Mapping[str, Any], casing: Casing) -> Loaded:
    family = sentencepiece_model.family_of(path, config, _read_optional(path.with_name("config.json")))
    if casing.chinese_characters is not None or (family != "albert" and casing.asked()):
        raise SettingsError(f"{', '.join(casing.asked())}: this tokenizer does not clean its text as BERT does, so this cannot be set")
    lower = bool(config.get("do_lower_case", True) if casing.lower_case is None else casing.lower_case)
    keep = bool(config.get("keep_accents", False)) if casing.strip_accents is None else not casing.strip_accents
    backend = sentencepiece_model.unigram(sentencepiece_model.read_model(path), family, lower_case=lower, keep_accents=keep)
    return Loaded(backend, [])


def _read_text(path: Path) -> str:
    try:
        text = read_file(path, _LARGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is no UTF-8 text (byte {error.start:,}): download or copy it again") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json(path) if os.path.lexists(path) else {}


def _read_config(path: Path) -> dict[str, Any]:
    """tokenizer_config.json, its switches checked: each is on or off, or not there where it is null, which only for accents says
    something (they go with the capitals)."""
    config = _read_optional(path)
    for name in _SWITCHES:
        if config.get(name) not in (None, True, False) or isinstance(config.get(name), float):
            raise CheckpointError(f"{path}: '{name}' must be true or false, not {config[name]!r:.100}: correct it")
    return {name: value for name, value in config.items() if value is not None or name not in _SWITCHES or name == "strip_accents"}
