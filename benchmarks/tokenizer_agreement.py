"""Whether `transformers` reads the tokenizers that bertworks trains to the same ids.

    python -m benchmarks.tokenizer_agreement                                      # a million lines of the corpus, 100,000 random strings
    python -m benchmarks.tokenizer_agreement --train my.txt --compare my.txt      # other text

A WordPiece (uncased) and a byte-level BPE vocabulary (cased) are trained, saved and loaded: by `bertworks.tokenization.Tokenizer`,
by `transformers.AutoTokenizer` ("fast"), and, where this version of `transformers` still has one, by its tokenizer written in
Python ("slow"; for WordPiece). Whole sequences are compared, special tokens included: lines of text, strings of random characters
out of all of Unicode, and strings of random code points, whether or not they are characters. Of a difference the result holds
the characters that alone are cut differently, never the text.

The slow tokenizer takes code points that are no characters away, the fast one, and so bertworks, keeps them; and its tables of
Unicode are Python's, those of the other two are the `tokenizers` library's.
"""

import argparse
import os
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from bertworks.data.documents import read_documents
from bertworks.estimators.workflows import train_tokenizer
from bertworks.tokenization import Tokenizer

Encode = Callable[[list[str]], Sequence[Sequence[int]]]
KINDS: dict[str, dict[str, Any]] = {"wordpiece": {"kind": "wordpiece", "lower_case": True}, "bpe": {"kind": "bpe", "lower_case": False}}
CORPUS = ("corpus/wikipedia.txt.xz", "corpus/novels.txt.xz")
AT_ONCE = 10_000
LONGEST = 40
"""Characters of a random string, at most."""
MOST_SHOWN = 40
"""Characters of each category that a result names, at most."""
RANGES = ((0x20, 0x7F, 0.35), (0x00, 0x20, 0.05), (0xA0, 0x250, 0.15), (0x250, 0x3000, 0.2), (0x3000, 0xD800, 0.1), (0xE000, 0x10000, 0.05))
RANGES += ((0x10000, 0x110000, 0.1),)
"""First character, the one behind the last, and the share of the characters that are drawn from there."""


def random_strings(count: int, *, assigned: bool = True, seed: int = 0) -> Iterator[str]:
    """Strings out of all of Unicode but the halves of surrogate pairs, with much from the parts that texts use; of characters,
    or, not `assigned`, of any code points."""
    random = np.random.default_rng(seed)
    pools = [np.array([c for c in range(*ends) if not assigned or unicodedata.category(chr(c)) != "Cn"]) for *ends, _ in RANGES]
    shares = [share for *_, share in RANGES]
    for _ in range(count):
        chosen = random.choice(len(RANGES), size=int(random.integers(1, LONGEST + 1)), p=shares)
        places = random.random(len(chosen))
        yield "".join(chr(pools[pool][int(place * len(pools[pool]))]) for pool, place in zip(chosen.tolist(), places.tolist(), strict=True))


def lines_of(files: Sequence[str], count: int) -> Iterator[str]:
    """So many lines, the same number of each file where they have as many."""
    share = -(-count // len(files))
    lines = (document.text for file in files for document in islice(read_documents([file]), share))
    return islice(lines, count)


def readers(folder: Path, kind: str) -> tuple[Encode, dict[str, Encode]]:
    """bertworks' way from texts to ids, and those of `transformers`."""
    from transformers import AutoTokenizer

    own, fast = Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    theirs: dict[str, Encode] = {"fast": lambda texts: fast(texts)["input_ids"]}
    slow = slow_wordpiece(folder) if kind == "wordpiece" else None
    if slow is not None:
        theirs["slow"] = slow
    return lambda texts: [windows[0].ids.tolist() for windows in own.encode_batch(texts, offsets=False)], theirs


def slow_wordpiece(folder: Path) -> Encode | None:
    """BERT's tokenizer as `transformers` has it in Python, where it does."""
    try:
        from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy
    except ImportError:
        return None
    slow = BertTokenizerLegacy(str(folder / "vocab.txt"), do_lower_case=True)
    return lambda texts: slow(texts)["input_ids"]


def compare(texts: Iterable[str], own: Encode, theirs: Mapping[str, Encode]) -> dict[str, Any]:
    """How many texts and tokens were compared, and with how many differences, by reader."""
    source, counts = iter(texts), {"texts": 0, "tokens": 0}
    different, unexplained = dict.fromkeys(theirs, 0), dict.fromkeys(theirs, 0)
    odd: dict[str, dict[str, bool]] = {name: {} for name in theirs}
    while some := list(islice(source, AT_ONCE)):
        ids = own(some)
        counts["texts"] += len(some)
        counts["tokens"] += sum(map(len, ids))
        for name, encode in theirs.items():
            wrong = [text for text, ours, other in zip(some, ids, encode(some), strict=True) if list(ours) != list(other)]
            try_characters({character for text in wrong for character in text}, own, encode, odd[name])
            different[name] += len(wrong)
            unexplained[name] += sum(not any(odd[name][character] for character in text) for text in wrong)
    found = {name: sorted(character for character, is_odd in tried.items() if is_odd) for name, tried in odd.items()}
    return counts | {
        name: {
            "different": different[name],
            "distinct_characters": len(found[name]),
            "characters": by_category(found[name]),
            "without_such_a_character": unexplained[name],
        }
        for name in theirs
    }


def by_category(characters: Sequence[str]) -> dict[str, Any]:
    """How many there are of each of Unicode's categories, and the first of them."""
    found: dict[str, list[str]] = {}
    for character in characters:
        found.setdefault(unicodedata.category(character), []).append(f"U+{ord(character):04X}")
    return {category: {"count": len(some), "first": some[:MOST_SHOWN]} for category, some in sorted(found.items())}


def try_characters(characters: set[str], own: Encode, other: Encode, tried: dict[str, bool]) -> None:
    """Notes in `tried` whether each character, between two letters, is cut differently."""
    fresh = sorted(characters - tried.keys())
    around = [f"a{character}a" for character in fresh]
    if fresh:
        tried |= {c: list(ours) != list(theirs) for c, ours, theirs in zip(fresh, own(around), other(around), strict=True)}


def run(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains, saves, loads and compares one kind of vocabulary."""
    with tempfile.TemporaryDirectory() as place:
        folder, started = Path(place) / "tokenizer", time.perf_counter()
        report = train_tokenizer(arguments.train, output=folder, vocabulary_size=arguments.vocabulary_size, **KINDS[kind])
        machine.log(f"{kind}: {report.trained.tokenizer.vocabulary_size:,} tokens learnt in {time.perf_counter() - started:.0f} s")
        own, theirs = readers(folder, kind)
        result: dict[str, Any] = {"vocabulary": report.trained.tokenizer.vocabulary_size, "settings": KINDS[kind]}
        parts = {
            "lines": lines_of(arguments.compare, arguments.lines),
            "strings": random_strings(arguments.strings),
            "code_points": random_strings(arguments.strings, assigned=False),
        }
        for name, texts in parts.items():
            started = time.perf_counter()
            result[name] = compare(texts, own, theirs)
            told = ", ".join(f"{reader} {result[name][reader]['different']:,}" for reader in theirs)
            machine.log(
                f"{kind}: {result[name]['texts']:,} {name.replace('_', ' ')}: different from {told} ({time.perf_counter() - started:.0f} s)"
            )
        return result


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenizer_agreement", description="Ids of transformers beside ours.")
    default = Path(os.environ.get("BERTWORKS_DATA", machine.ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="root of the data (default: BERTWORKS_DATA, else ../shared/data)")
    parser.add_argument("--train", nargs="+", help="files to train on (default: the data's corpus)")
    parser.add_argument("--compare", nargs="+", help="files to compare on (default: those that are trained on)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--vocabulary-size", type=int, default=24_000)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--strings", type=int, default=100_000)
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.lines, arguments.strings, arguments.vocabulary_size = 2000, 2000, 2000
    arguments.train = arguments.train or [str(arguments.data / name) for name in CORPUS]
    arguments.compare = arguments.compare or arguments.train
    return arguments


def main() -> None:
    arguments = parse_arguments()
    options: dict[str, Any] = {name: getattr(arguments, name) for name in ("kinds", "vocabulary_size", "lines", "strings", "quick")}
    content = {
        "command": machine.command_line("tokenizer_agreement", [], options),
        "files": {part: [Path(file).name for file in getattr(arguments, part)] for part in ("train", "compare")},
        "unicode_of_python": unicodedata.unidata_version,
        "machine": machine.facts(gemm=False),
        "kinds": {},
    }
    for kind in arguments.kinds:
        content["kinds"][kind] = run(kind, arguments)
        machine.write_result(machine.output_folder(arguments), "tokenizer_agreement", content)
    found = [result[part]["fast"]["different"] for result in content["kinds"].values() for part in ("lines", "strings", "code_points")]
    sys.exit(f"{sum(found):,} texts differ" if any(found) else None)


if __name__ == "__main__":
    main()
