"""Damage that knows the shape of what it damages: a mutated JSON document is mostly JSON still, a mutated weight file has a header."""

import bz2
import gzip
import json
import lzma
import struct
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import zstandard

ODD_NUMBERS: list[Any] = [0, 1, -1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, -(2**63) - 1, 10**12, 10**400, 0.5, -0.0, 1e-320, 1e308]
ODD_VALUES: list[Any] = [
    *ODD_NUMBERS,
    float("nan"),
    float("inf"),
    None,
    True,
    False,
    "",
    " ",
    "\0",
    "\ud800",
    "a" * 300,
    "../../etc/passwd",
    "/dev/zero",
    "[UNK]",
    "##",
    "é\u0301\u202e\x1b[2J",
    "F32",
    "0",
    "nan",
    [],
    {},
    [[]],
    [0, 1],
    ["a", 1, None],
    {"a": 1},
]
RAW: list[bytes] = [b"[" * 3000, b'{"a":' * 3000, b"9" * 5000, b"1e999", b"NaN", b'{"a":1,"a":2}', b'"\\ud800"', b"\xff", b"\0", b""]
# fmt: off
TOKENS: list[bytes] = [
    b'"', b'""', b",", b"\t", b";", b"|", b"\n", b"\r", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe9", b" ", b"\\", b"text",
    b"label", b"1", b"-1.5", b"nan", b"a|b", b"[]", b"['a']", b"null", b"\xe2\x80\xa8", b"\xc2\x85", b'{"text":"a"}', b"{", b"}",
]
# fmt: on

PACKERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    ".gz": (gzip.compress, gzip.decompress),
    ".xz": (lzma.compress, lzma.decompress),
    ".bz2": (bz2.compress, bz2.decompress),
    ".zst": (zstandard.compress, lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
}

Mutation = Callable[[bytes, Random], bytes]


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """A few bytes changed, cut out, doubled or put in."""
    out = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(out))
        length = random.choice([1, 1, 2, 8, random.randint(0, 64)])
        kind = random.randint(0, 4)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << random.randint(0, 7)
        elif kind == 1:
            del out[at : at + length]
        elif kind == 2:
            out[at:at] = out[at : at + length]
        elif kind == 3:
            out[at : at + length] = random.randbytes(length)
        else:
            del out[at:]
    return bytes(out)


def mutate_text(data: bytes, random: Random) -> bytes:
    """Marks that mean something to a reader put in, lines and parts of them moved."""
    out = bytearray(data)
    for _ in range(random.randint(1, 5)):
        at, to = random.randint(0, len(out)), random.randint(0, len(out))
        kind = random.randint(0, 4)
        if kind <= 1:
            out[at:at] = random.choice(TOKENS) * random.choice([1, 1, 1, 2, 50])
        elif kind == 2:
            out[at : at + random.randint(1, 4)] = random.choice(TOKENS)
        elif kind == 3:
            out[to:to] = out[at : at + random.randint(1, 100)]
        else:
            del out[at : at + random.randint(1, 100)]
    return bytes(out)


def mutate_json(data: bytes, random: Random) -> bytes:
    """A document with some of its values replaced, taken out, doubled or exchanged; sometimes no document any more."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_text(data, random)
    for _ in range(random.choice([1, 1, 1, 2, 3, 6])):
        document = _changed(document, random)
    text = json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    if random.random() < 0.1:
        at = random.randint(0, len(text))
        text = text[:at] + random.choice(RAW) + text[at:]
    return text


def _places(document: Any, room: int = 4000) -> list[tuple[Any, Any]]:
    """Containers and the keys in them, of all levels."""
    found: list[tuple[Any, Any]] = []
    open_ones = [document]
    while open_ones and len(found) < room:
        one = open_ones.pop()
        keys = list(one) if isinstance(one, dict) else list(range(len(one))) if isinstance(one, list) else []
        found += [(one, key) for key in keys]
        open_ones += [one[key] for key in keys]
    return found


def _odd(random: Random) -> Any:
    return deepcopy(random.choice(ODD_VALUES))


def _changed(document: Any, random: Random) -> Any:
    places = _places(document)
    if not places or random.random() < 0.02:
        return _odd(random)
    holder, key = random.choice(places)
    other_holder, other_key = random.choice(places)
    kind = random.randint(0, 9)
    if kind <= 4:
        holder[key] = _odd(random)
    elif kind == 5 and isinstance(holder[key], int | float):
        holder[key] = holder[key] + random.choice([-1, 1, 0.5]) if abs(holder[key]) < 1e300 else 0
    elif kind == 6:
        del holder[key]
    elif kind == 7 and isinstance(holder, dict):
        holder[random.choice(["", "a", "\0", str(random.choice(ODD_NUMBERS[:9])), str(other_key)])] = holder[key]
    elif kind == 8:
        copied = json.loads(json.dumps(other_holder[other_key]))  # a document must not hold itself
        holder[key] = copied
    elif isinstance(holder, list):
        holder.insert(random.randint(0, len(holder)), _odd(random))
    else:
        holder[key] = [holder[key]]
    return document


def mutate_safetensors(data: bytes, random: Random) -> bytes:
    """A weight file with another header, mostly of the right length, and its numbers as they were."""
    if len(data) < 8 or random.random() < 0.2:
        return mutate_bytes(data, random)
    length = min(struct.unpack("<Q", data[:8])[0], len(data) - 8)
    header = mutate_json(data[8 : 8 + length], random)
    said = len(header) if random.random() < 0.9 else random.choice([0, 2**63, len(header) + 1, random.randint(0, 2 * len(data))])
    numbers = data[8 + length :] if random.random() < 0.9 else mutate_bytes(data[8 + length :], random)
    return struct.pack("<Q", said) + header + numbers


def mutate_packed(data: bytes, random: Random) -> bytes:
    """A compressed file, its first byte the number of its format: of changed content, or itself changed."""
    suffixes = list(PACKERS)
    pack, unpack = PACKERS[suffixes[data[0] % len(suffixes)]] if data else PACKERS[".gz"]
    try:
        content = unpack(data[1:])
    except Exception:
        return mutate_bytes(data, random)
    if random.random() < 0.4:
        return data[:1] + mutate_bytes(data[1:], random)
    return data[:1] + pack(mutate_text(content, random)[:100_000])
