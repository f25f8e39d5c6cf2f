"""Parts that a tokenizer.json may be put together from, with settings that nobody would choose."""

import json
from copy import deepcopy
from random import Random
from typing import Any

from tests.fuzz.mutations import mutate_json

TOKENS = ["[UNK]", "[CLS]", "<s>", "</s>", "the", "a", "", "nowhere", "##s", "▁", "Ġ"]
_PATTERNS: list[Any] = [
    {"String": "a"},
    {"String": ""},
    {"Regex": "\\s+"},
    {"Regex": "(a+)+$"},
    {"Regex": "("},
    {"Regex": "$"},
    {"Regex": ".*?"},
]
_BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
_ENDS = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 3}}]

NORMALIZERS: list[Any] = [
    None,
    *[{"type": kind} for kind in ("NFC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")],
    *[{"type": "Replace", "pattern": pattern, "content": content} for pattern in _PATTERNS for content in ("", "b", "aa" * 9)],
    {"type": "Prepend", "prepend": "▁▁"},
    {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="},
    {"type": "Precompiled", "precompiled_charsmap": "tAIAAAgAAACABAAAgAYAAAAAAAA="},
    {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": True, "lowercase": False},
    {"type": "Sequence", "normalizers": []},
]
SPLITTERS: list[Any] = [
    None,
    *[{"type": kind} for kind in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts")],
    *[{"type": "Split", "pattern": pattern, "behavior": b, "invert": b == "Isolated"} for pattern in _PATTERNS for b in _BEHAVIORS],
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
    {"type": "Metaspace", "replacement": " ", "prepend_scheme": "always", "split": True},
    {"type": "CharDelimiterSplit", "delimiter": "a"},
    {"type": "Punctuation", "behavior": "MergedWithNext"},
    {"type": "Digits", "individual_digits": True},
    {"type": "FixedLength", "length": 0},
    {"type": "FixedLength", "length": 1},
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": False},
    {"type": "Sequence", "pretokenizers": []},
]
PROCESSORS: list[Any] = [
    None,
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "BertProcessing", "sep": ["[SEP]", 10**9], "cls": ["nowhere", 0]},
    {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False},
    {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
    {"type": "TemplateProcessing", "single": [_ENDS[2], _ENDS[0]], "pair": _ENDS, "special_tokens": {}},
    {"type": "TemplateProcessing", "single": [_ENDS[0]] * 2, "pair": [_ENDS[1], _ENDS[0]], "special_tokens": {}},
    {"type": "Sequence", "processors": []},
]
DECODERS: list[Any] = [
    None,
    *[{"type": kind} for kind in ("ByteLevel", "ByteFallback", "Fuse")],
    {"type": "WordPiece", "prefix": "", "cleanup": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "Replace", "pattern": {"String": ""}, "content": "▁"},
    {"type": "Strip", "content": "a", "start": 99, "stop": 99},
    {"type": "BPEDecoder", "suffix": ""},
    {"type": "CTC", "pad_token": "", "word_delimiter_token": "|", "cleanup": True},
    {"type": "Sequence", "decoders": []},
]
_WORDS = {"[UNK]": 0, "a": 1, "b": 2, "ab": 3, "##a": 4, "<0x61>": 5}
_BPE: dict[str, Any] = {
    "type": "BPE",
    "unk_token": "[UNK]",
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": True,
}
MODELS: list[Any] = [
    {"type": "WordLevel", "vocab": _WORDS, "unk_token": "[UNK]"},
    {"type": "WordLevel", "vocab": {}, "unk_token": "nowhere"},
    {"type": "WordPiece", "vocab": _WORDS, "unk_token": "nowhere", "continuing_subword_prefix": "##", "max_input_chars_per_word": 2},
    {"type": "WordPiece", "vocab": _WORDS, "unk_token": "[UNK]", "continuing_subword_prefix": "", "max_input_chars_per_word": 0},
    {**_BPE, "vocab": _WORDS, "merges": [["a", "b"]], "byte_fallback": True, "dropout": 0.5, "ignore_merges": True},
    {**_BPE, "vocab": _WORDS, "merges": [], "byte_fallback": True, "dropout": None, "unk_token": "nowhere"},
    {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["▁", -1e308]], "byte_fallback": False},
    {"type": "Unigram", "unk_id": None, "vocab": [["a", -1.0]], "byte_fallback": True},
    {"type": "Unigram", "unk_id": 0, "vocab": [["", 0.0]], "byte_fallback": False},
]
LIMITS: list[Any] = [
    {"direction": "Left", "max_length": 1, "strategy": "OnlySecond", "stride": 5},
    {"strategy": {"Fixed": 10}, "direction": "Right", "pad_to_multiple_of": 0, "pad_id": 10**9, "pad_type_id": 7, "pad_token": "x"},
]
_SLOTS = {"normalizer": NORMALIZERS, "pre_tokenizer": SPLITTERS, "post_processor": PROCESSORS, "decoder": DECODERS, "model": MODELS}
_INNER = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors", "decoder": "decoders"}


def mutate_tokenizer(data: bytes, random: Random) -> bytes:
    """A tokenizer.json with other parts, alone or several in a row; or with values changed as in any other JSON."""
    try:
        content = json.loads(data)
        assert isinstance(content, dict)
    except (ValueError, AssertionError, RecursionError):
        return mutate_json(data, random)
    for _ in range(random.choice([1, 1, 2, 4])):
        slot = random.choice([*_SLOTS, "added_tokens", "truncation"])
        if slot == "added_tokens":
            token = {"id": random.choice([0, 5, 7, 10**6]), "content": random.choice(TOKENS)}
            marks = {name: random.random() < 0.5 for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
            before = content.get(slot)
            content[slot] = [*(before[-3:] if isinstance(before, list) else []), token | marks]
        elif slot == "truncation":
            content["truncation"], content["padding"] = (deepcopy(LIMITS[i]) if random.random() < 0.5 else None for i in (0, 1))
        elif slot in _INNER and random.random() < 0.3:
            parts = [part for part in random.choices(_SLOTS[slot], k=random.randint(0, 3)) if part]
            content[slot] = {"type": "Sequence", _INNER[slot]: deepcopy(parts)}
        else:
            content[slot] = deepcopy(random.choice(_SLOTS[slot]))
    text = json.dumps(content).encode()
    return mutate_json(text, random) if random.random() < 0.3 else text
