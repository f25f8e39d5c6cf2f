"""Small tokenizers of every family, made here, and the real vocabularies where they are at hand."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from bertworks.tokenization import Tokenizer

WORDS = [
    "the",
    "dog",
    "runs",
    "over",
    "a",
    "hill",
    "New",
    "York",
    "café",
    "un",
    "##able",
    "##s",
    "##x",
    "play",
    "##ing",
    "'",
    ",",
    ".",
    "!",
    "-",
]
LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *WORDS,
    *[x for x in LETTERS if x not in WORDS],
    *["##" + x for x in LETTERS if x not in "sx"],
    "博",
    "é",
]
CORPUS = [
    "the dog runs over a hill.",
    "New York, unable to play!",
    "naïve café 博 😁 playing dogs",
    "it's 418 of 418",
    "  two  spaces\n\nlines\t",
] * 4
BERT_FAMILY = ["bert-base-uncased", "bert-base-cased", "bert-base-multilingual-cased", "bert-base-chinese"]
FAMILIES = ["wordpiece", "wordpiece_lower", "roberta", "gpt2", "metaspace", "unsplit"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("BERTWORKS_DATA", default))
    if not (folder / "vocabularies").is_dir():
        pytest.skip(f"needs the vocabularies of the shared data folder, which is not at {folder}; BERTWORKS_DATA says where it is")
    return folder


@pytest.fixture(scope="session")
def real(shared_data: Path) -> Callable[[str], Tokenizer]:
    loaded: dict[str, Tokenizer] = {}

    def load(name: str) -> Tokenizer:
        if name not in loaded:
            loaded[name] = Tokenizer.load(shared_data / "vocabularies" / name)
        return loaded[name]

    return load


def write_vocabulary(folder: Path, config: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in PIECES), encoding="utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def write_byte_level(folder: Path, special: list[str], names: tuple[str, str] = ("vocab.json", "merges.txt")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    model = json.loads(backend.to_str())["model"]
    (folder / names[0]).write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    merges = ["#version: 0.2", *(" ".join(merge) for merge in model["merges"])]
    (folder / names[1]).write_text("\n".join(merges) + "\n", encoding="utf-8")
    return folder


def unigram(split: bool) -> Backend:
    """A sentencepiece-like tokenizer as XLM-R's or ALBERT's; without `split` nothing divides a text into words."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁the", "▁dog", "s", "▁New", "▁York", ",", "▁run", "ning"]
    backend = Backend(models.Unigram([(piece, -float(number)) for number, piece in enumerate(pieces)], unk_id=3, byte_fallback=False))
    if split:
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
    else:
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return backend


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tokenizer]:
    folder = tmp_path_factory.mktemp("small")
    made = {
        "wordpiece": Tokenizer.load(write_vocabulary(folder / "cased", {"do_lower_case": False})),
        "wordpiece_lower": Tokenizer.load(write_vocabulary(folder / "uncased", {"do_lower_case": True})),
        "roberta": Tokenizer.load(write_byte_level(folder / "roberta", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])),
        "gpt2": Tokenizer.load(write_byte_level(folder / "gpt2", ["<|endoftext|>"], ("encoder.json", "vocab.bpe"))),
        "metaspace": Tokenizer(unigram(split=True)),
        "unsplit": Tokenizer(unigram(split=False)),
    }
    return made.__getitem__
