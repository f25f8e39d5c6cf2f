"""Damaged files: whatever stands in them, the answer is tensors or a CheckpointError, and memory stays small."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertworks.checkpoints import open_tensors, write_tensors
from bertworks.errors import CheckpointError

LIMIT = 8 << 20
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("valid") / "model.safetensors"
    random = np.random.default_rng(0)
    write_tensors(
        path,
        {
            "embeddings.weight": random.normal(size=(5, 3)).astype(np.float32),
            "ids": np.arange(7),
            "empty": np.zeros((0, 3), dtype=np.float16),
            "scalar": np.asarray(2.0),
        },
    )
    return path.read_bytes()


def read_everything(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    tracemalloc.start()
    message = ""
    try:
        with open_tensors(folder) as files:
            for name in files:
                assert files[name].shape == files.shapes[name]
                with np.errstate(all="ignore"):
                    files.read(name)
    except CheckpointError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < LIMIT
    assert len(message) < 2000


@QUICK
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bits(tmp_path: Path, valid: bytes, changes: list[tuple[float, int]]) -> None:
    content = bytearray(valid)
    for where, mask in changes:
        content[int(where * len(content))] ^= mask
    read_everything(tmp_path, bytes(content))


@QUICK
@given(start=st.integers(0, 500), removed=st.integers(0, 60), added=st.binary(max_size=40))
def test_cut_and_grown(tmp_path: Path, valid: bytes, start: int, removed: int, added: bytes) -> None:
    read_everything(tmp_path, valid[:start] + added + valid[start + removed :])


def test_every_truncation_is_found(tmp_path: Path, valid: bytes) -> None:
    path = tmp_path / "model.safetensors"
    for length in range(len(valid)):
        path.write_bytes(valid[:length])
        with pytest.raises(CheckpointError, match=r"model\.safetensors (is cut short|is no safetensors file)"):
            open_tensors(tmp_path)


odd_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**70) | st.floats() | st.sampled_from(["F32", "BF16", "F8_E4M3", "", "I64"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets"]), inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries({"dtype": odd_values, "shape": odd_values, "data_offsets": odd_values}) | odd_values
near_entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "U8", "F64"]),
        "shape": st.lists(st.sampled_from([0, 1, 2, 4, 8, 2**31, 2**47, 2**62, 2**63, -1]), max_size=5) | st.just([1] * 40),
        "data_offsets": st.lists(st.sampled_from([0, 1, 4, 8, 16, 32, 64, 2**40, -4]), min_size=2, max_size=2),
    }
)


@QUICK
@given(
    header=st.dictionaries(st.sampled_from(["a", "b", "__metadata__", "é", ""]), entries | near_entries, max_size=3),
    data=st.binary(max_size=64),
)
def test_headers_that_lie(tmp_path: Path, header: dict[str, Any], data: bytes) -> None:
    text = json.dumps(header).encode()
    read_everything(tmp_path, len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}, r"tensor 'a' is F32 \[4\] in 8 bytes"),
        ({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}, "cut short"),
        ({"a": {"dtype": "U8", "shape": [0, 2**62], "data_offsets": [0, 0]}}, "damaged header"),
        ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, "holds 4 bytes more"),
        ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}, "overlaps another or leaves a gap"),
        ({n: {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]} for n in "ab"}, "overlaps another or leaves a gap"),
        ({"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, "stored as F8_E4M3; bertworks reads"),
        ({"a": {"dtype": "U8", "shape": [True], "data_offsets": [0, 8]}}, "damaged header"),
        ({"__metadata__": {"format": 1}}, "metadata that is not text"),
        ([], "not a table"),
    ],
)
def test_lies_are_named(tmp_path: Path, header: object, message: str) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(CheckpointError, match=message):
        open_tensors(tmp_path)


def test_doubled_names_and_deep_nesting(tmp_path: Path) -> None:
    entry = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    for text in (f'{{"a":{entry},"a":{entry}}}', '{"a":' + "[" * 100_000 + "]" * 100_000 + "}", '{"a":' + "9" * 10_000 + "}"):
        content = text.encode()
        (tmp_path / "model.safetensors").write_bytes(len(content).to_bytes(8, "little") + content + b"\0")
        with pytest.raises(CheckpointError, match="damaged header"):
            open_tensors(tmp_path)
