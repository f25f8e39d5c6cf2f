"""Ids and character spans of every tokenizer family beside `transformers`, text by text.

    python -m benchmarks.tokenizer_parity              # about fifteen minutes of one core
    python -m benchmarks.tokenizer_parity --quick      # a minute

Texts: every line of `multilingual/*.txt` (eleven languages), English lines evenly spread over `corpus/*.txt.xz`, and random Unicode
strings of any planes, with emoji, control characters and combining marks among them. Tokenizers: the published vocabularies in
`vocabularies/`, and Unigram models of ALBERT's, XLM-RoBERTa's and CamemBERT's kind that are trained here by `sentencepiece` on the
same lines. Spans are compared without white space at their ends, which byte-level tokenizers of different versions count
differently.
"""

import argparse
import lzma
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from bertworks.tokenization import Tokenizer

PUBLISHED = {
    "bert-base-uncased": "BertTokenizerFast",
    "bert-base-cased": "BertTokenizerFast",
    "bert-base-multilingual-cased": "BertTokenizerFast",
    "bert-base-chinese": "BertTokenizerFast",
    "roberta-base": "RobertaTokenizerFast",
    "gpt2": "GPT2TokenizerFast",
    "modernbert": "PreTrainedTokenizerFast",
}
UNIGRAM = {"albert": "spiece.model", "xlm-roberta": "sentencepiece.bpe.model", "camembert": "sentencepiece.bpe.model"}
CLASSES = {"albert": "AlbertTokenizer", "xlm-roberta": "XLMRobertaTokenizer", "camembert": "CamembertTokenizer"}
_AT_ONCE = 1000


def random_string(random: np.random.Generator) -> str:
    """1 to 40 characters: half of the strings dense in one script, the others of all planes."""
    top = int(random.choice([0x80, 0x250, 0x600, 0x3100, 0x10000, 0x110000]))
    points = random.integers(0, top, size=int(random.integers(1, 41)))
    special = random.choice([0x301, 0x200D, 0x1F600, 0x09, 0x0B, 0x1B, 0xFE0F, 0x202E, 0x20], size=len(points))
    points = np.where(random.random(len(points)) < 0.2, special, points)
    return "".join(chr(point) for point in points.tolist() if not 0xD800 <= point < 0xE000) or " "


def english_lines(folder: Path, count: int) -> list[str]:
    """So many lines of the corpora, evenly spread, none of them empty."""
    lines: list[str] = []
    for path in sorted(folder.glob("*.txt.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as stream:
            lines += [line.rstrip("\n") for line in stream if line.strip()]
    return lines[:: max(1, len(lines) // count)][:count]


def train_unigram(folder: Path, family: str, lines: list[str], size: int) -> Path:
    """A folder with a SentencePiece vocabulary of a family."""
    import json

    import sentencepiece

    folder.mkdir()
    (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    own: dict[str, Any] = {"unk_id": 0, "bos_id": 1, "eos_id": 2}
    if family == "albert":
        own = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1}
        own |= {"control_symbols": ["[CLS]", "[SEP]"], "user_defined_symbols": ["[MASK]"]}
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines.txt"),
        model_prefix=str(folder / "made"),
        vocab_size=size,
        model_type="unigram",
        minloglevel=2,
        hard_vocab_limit=False,
        max_sentence_length=100_000,
        num_threads=1,
        **own,
    )
    (folder / "made.model").rename(folder / UNIGRAM[family])
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": CLASSES[family]}))
    return folder


def references(data: Path, trained: dict[str, Path]) -> Iterator[tuple[str, Tokenizer, Any]]:
    """Each tokenizer, ours and theirs."""
    import transformers

    for name, class_name in PUBLISHED.items():
        folder = data / "vocabularies" / name
        options: dict[str, Any] = {}
        if class_name == "BertTokenizerFast":
            options = {"do_lower_case": not name.endswith("-cased")}
        if name == "gpt2":
            options = {"vocab_file": str(folder / "encoder.json"), "merges_file": str(folder / "vocab.bpe")}
        yield name, Tokenizer.load(folder), getattr(transformers, class_name).from_pretrained(str(folder), **options)
    for name, folder in trained.items():
        yield f"{name} (Unigram)", Tokenizer.load(folder), transformers.AutoTokenizer.from_pretrained(str(folder))


def compare(ours: Tokenizer, theirs: Any, texts: list[str]) -> dict[str, int]:
    """How many texts differ in their ids, and how many in a span."""
    ids = spans = 0
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        expected = theirs(some, return_offsets_mapping=True)
        for text, (mine,), wanted, mapping in zip(
            some, ours.encode_batch(some), expected["input_ids"], expected["offset_mapping"], strict=True
        ):
            if mine.ids.tolist() != wanted:
                ids += 1
                continue
            own = mine.sequence_ids >= 0
            pairs = zip(mine.offsets[own].tolist(), [m for m, k in zip(mapping, own.tolist(), strict=True) if k], strict=True)
            spans += any(text[a:b].strip() != text[c:d].strip() for (a, b), (c, d) in pairs)
    return {"texts": len(texts), "ids_differ": ids, "spans_differ": spans}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("BERTWORKS_DATA", machine.ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="folder with multilingual/, corpus/ and vocabularies/")
    parser.add_argument("--english", type=int, default=20_000, help="lines of the English corpora for each tokenizer")
    parser.add_argument("--strings", type=int, default=100_000, help="random Unicode strings for each tokenizer")
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.strings, arguments.english = 2000, 2000
    facts = machine.facts(gemm=False)
    files = sorted((arguments.data / "multilingual").glob("*.txt"))
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    english = english_lines(arguments.data / "corpus", arguments.english)
    random = np.random.default_rng(0)
    strings = [random_string(random) for _ in range(arguments.strings)]
    lines = lines[:: 20 if arguments.quick else 1]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        trained = {name: train_unigram(Path(temporary) / name, name, lines, 8000 if not arguments.quick else 2000) for name in UNIGRAM}
        for name, ours, theirs in references(arguments.data, trained):
            started = time.perf_counter()
            parts = {"lines": lines, "english": english, "strings": strings}
            row = {"tokenizer": name, **{part: compare(ours, theirs, texts) for part, texts in parts.items()}}
            rows.append(row)
            print(f"{name:32} {[row[part] for part in parts]} {time.perf_counter() - started:.0f} s", flush=True)
    shown = {name: getattr(arguments, name) for name in ("english", "strings", "quick")}
    command = machine.command_line("tokenizer_parity", [], shown)
    result = {"command": command, "machine": facts, "languages": len(files), "tokenizers": rows}
    machine.write_result(machine.output_folder(arguments), "tokenizer_parity", result)


if __name__ == "__main__":
    main()
