"""Known outputs of the published vocabularies."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bertworks.tokenization import Tokenizer
from tests.tokenization.conftest import BERT_FAMILY

pytestmark = pytest.mark.shared


@pytest.mark.parametrize("name", [*BERT_FAMILY, "gpt2", "roberta-base", "modernbert"])
def test_golden(name: str, shared_data: Path, real: Callable[[str], Tokenizer]) -> None:
    rows = json.loads((shared_data / "golden" / "token_ids.json").read_text(encoding="utf-8"))[name]
    for row in rows:
        encoding = real(name).encode(row["text"], row.get("text_pair"))
        ids = encoding.ids.tolist()
        # RoBERTa's known ids were written down without special tokens.
        assert (ids[1:-1] if name == "roberta-base" else ids) == row["input_ids"], row["text"]
        if "tokens" in row:
            assert encoding.tokens == row["tokens"]
        if "offsets" in row:
            assert encoding.offsets.tolist() == row["offsets"]
        if "type_ids" in row:
            assert encoding.segment_ids.tolist() == row["type_ids"]


def test_case_of_published_vocabularies_is_guessed(real: Callable[[str], Tokenizer]) -> None:
    for name in BERT_FAMILY:
        (note,) = real(name).notes
        assert ("taken as cased" in note) == name.endswith("-cased"), note


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def random_text(seed: int) -> str:
    """Any Unicode, most of it where the vocabularies are dense."""
    generator = np.random.default_rng(seed)
    limits = generator.choice([0x80, 0x250, 0x600, 0x3100, 0x10000, 0x110000], size=30)
    points = generator.integers(0, limits)
    return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)


def test_real_vocabularies_agree_with_transformers(shared_data: Path, real: Callable[[str], Tokenizer]) -> None:
    transformers = pytest.importorskip("transformers")
    texts = [line for path in sorted((shared_data / "multilingual").glob("*.txt")) for line in read_lines(path)[:20]]
    texts += [random_text(seed) for seed in range(200)]
    references = {
        name: transformers.BertTokenizerFast.from_pretrained(
            str(shared_data / "vocabularies" / name), do_lower_case=not name.endswith("-cased")
        )
        for name in BERT_FAMILY
    }
    references["roberta-base"] = transformers.RobertaTokenizerFast.from_pretrained(str(shared_data / "vocabularies" / "roberta-base"))
    for name, reference in references.items():
        expected = reference(texts, return_offsets_mapping=True)
        for row, (encoding,) in enumerate(real(name).encode_batch(texts)):
            assert encoding.ids.tolist() == expected["input_ids"][row], (name, texts[row])
            assert encoding.offsets.tolist() == [list(span) for span in expected["offset_mapping"][row]], (name, texts[row])
            assert [None if word < 0 else word for word in encoding.word_ids.tolist()] == expected.word_ids(row)
