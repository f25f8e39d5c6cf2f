"""Tokenizers in all their files, and any text in any tokenizer."""

import json
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers

from tests.fuzz.mutations import mutate_json, mutate_text
from tests.fuzz.target import Target, home, only_deliberate_errors, scratch, shared
from tests.fuzz.tokenizer_parts import mutate_tokenizer
from tests.tokenization.conftest import unigram, write_byte_level, write_vocabulary

TEXTS = ["the dog runs over a hill, unable to play!", "  naïve café 博 😁\n[MASK] <mask> don't", "", "a" * 300, "\u0301\0\ufffd [CLS]"]


@shared
def _tokenizers() -> list[Any]:
    from bertworks.tokenization import Tokenizer

    folder = home()
    return [
        Tokenizer.load(write_vocabulary(folder / "cased", {"do_lower_case": False})),
        Tokenizer.load(write_vocabulary(folder / "uncased", {"do_lower_case": True})),
        Tokenizer.load(write_byte_level(folder / "roberta", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])),
        Tokenizer(unigram(split=True)),
        Tokenizer(unigram(split=False)),
    ]


def _use_tokenizer(folder: Path) -> None:
    from bertworks.tokenization import Tokenizer

    with only_deliberate_errors():
        tokenizer = Tokenizer.load(folder)
        with only_deliberate_errors():
            for row in tokenizer.encode_batch(TEXTS, max_tokens=12):
                for encoding in row:
                    assert len(encoding.ids) == len(encoding.tokens) == len(encoding.offsets) == len(encoding.word_ids)
                    tokenizer.decode(encoding.ids)
        with only_deliberate_errors():
            tokenizer.encode_batch(TEXTS, TEXTS, max_tokens=9, overflow="head_tail", offsets=False)
        with only_deliberate_errors():
            tokenizer.save(folder / "saved")
        assert len(tokenizer.fingerprint()) == 64


def _tokenizer_json(data: bytes, folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(data)
    _use_tokenizer(folder)


def _tokenizer_seeds() -> list[bytes]:
    out = []
    for tokenizer in _tokenizers():
        with scratch() as folder:
            tokenizer.save(folder)
            out.append(json.dumps(json.loads((folder / "tokenizer.json").read_bytes()), ensure_ascii=False).encode())
    return out


def _vocabulary(data: bytes, folder: Path) -> None:
    """vocab.txt, and what follows a NUL NUL as tokenizer_config.json."""
    vocabulary, _, config = data.partition(b"\0\0")
    (folder / "vocab.txt").write_bytes(vocabulary)
    if config:
        (folder / "tokenizer_config.json").write_bytes(config)
    _use_tokenizer(folder)


def _vocabulary_seeds() -> list[bytes]:
    plain = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ndog\n##s\nun\n##able\n,\n"
    added = {"content": "<x>", "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    config = {"do_lower_case": True, "strip_accents": None, "unk_token": {"content": "[UNK]"}, "added_tokens_decoder": {"11": added}}
    return [plain, plain.replace(b"\n", b"\r\n"), plain + b"\0\0" + json.dumps(config).encode()]


def _merges(data: bytes, folder: Path) -> None:
    """vocab.json, and after NUL NUL merges.txt, and after another added_tokens.json."""
    vocabulary, merges, added = [*data.split(b"\0\0", 2), b"", b""][:3]
    (folder / "vocab.json").write_bytes(vocabulary)
    (folder / "merges.txt").write_bytes(merges)
    if added:
        (folder / "added_tokens.json").write_bytes(added)
    _use_tokenizer(folder)


def _merges_seeds() -> list[bytes]:
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "the"]
    vocabulary = json.dumps({token: i for i, token in enumerate(tokens)})
    return [f"{vocabulary}\0\0#version: 0.2\nt h\nth e\n".encode(), f'{vocabulary}\0\0t h\n\0\0{{"<x>": {len(tokens)}}}'.encode()]


def _mutate_parts(data: bytes, random: Any) -> bytes:
    parts = data.split(b"\0\0")
    chosen = random.randrange(len(parts))
    parts[chosen] = (mutate_json if parts[chosen].lstrip()[:1] == b"{" else mutate_text)(parts[chosen], random)
    return b"\0\0".join(parts)


def _encode(data: bytes, folder: Path) -> None:
    """Any text in any tokenizer."""
    tokenizer = _tokenizers()[data[0] % len(_tokenizers())] if data else _tokenizers()[0]
    text = data[1:].decode("utf-8", "surrogatepass" if data[:1] > b"\x80" else "replace") if _decodable(data[1:]) else ""
    limit = 8 + (data[0] >> 4) if data else 8
    with only_deliberate_errors():
        (row,) = tokenizer.encode_batch([text], max_tokens=limit)
        for encoding in row:
            assert len(encoding.ids) <= limit
            assert ((encoding.offsets >= 0) & (encoding.offsets <= len(text))).all()
            assert (encoding.offsets[:, 0] <= encoding.offsets[:, 1]).all()
            tokenizer.decode(encoding.ids)


def _decodable(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


TOKENIZERS: dict[str, Target] = {
    "tokenizer-json": Target(_tokenizer_seeds, _tokenizer_json, mutate_tokenizer),
    "vocabulary": Target(_vocabulary_seeds, _vocabulary, _mutate_parts),
    "merges": Target(_merges_seeds, _merges, _mutate_parts),
    "encode": Target(lambda: [bytes([i]) + text.encode() for i, text in enumerate(TEXTS)], _encode, mutate_text),
}
