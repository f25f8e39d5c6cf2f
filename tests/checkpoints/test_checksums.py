"""Checksums find any change of a folder's files, and name the file."""

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.checkpoints.checksums import CHECKSUMS, checksum, damage, read_checksums, write_checksums
from bertworks.errors import CheckpointError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "step"
    folder.mkdir()
    (folder / "weights").write_bytes(np.arange(70_000, dtype=np.float32).tobytes())
    (folder / "state.json").write_text('{"step": 12}')
    (folder / "empty").touch()
    write_checksums(folder)
    return folder


def test_what_was_written_is_whole(folder: Path) -> None:
    assert damage(folder) is None
    assert list(read_checksums(folder)) == ["empty", "state.json", "weights"]
    content = (folder / "weights").read_bytes()
    assert checksum(folder / "weights") == {"bytes": len(content), "crc32": f"{zlib.crc32(content):08x}"}


@given(name=st.sampled_from(["weights", "state.json", CHECKSUMS]), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, name: str, place: float, bit: int) -> None:
    folder = tmp_path_factory.mktemp("flip")
    (folder / "weights").write_bytes(bytes(range(256)) * 9)
    (folder / "state.json").write_text('{"step": 12}')
    write_checksums(folder)
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (folder / name).write_bytes(content)
    fault = damage(folder)
    assert fault is not None
    assert name == CHECKSUMS or fault == f"{folder / name} is damaged: its bytes are not those that were written"
    shutil.rmtree(folder)


def test_what_is_cut_or_gone_is_named(folder: Path) -> None:
    content = (folder / "weights").read_bytes()
    (folder / "weights").write_bytes(content[:-1])
    assert damage(folder) == f"{folder / 'weights'} is damaged: it has 279,999 bytes, and had 280,000 when it was written"
    assert damage(folder, only="state.json") is None
    (folder / "weights").unlink()
    assert damage(folder) == f"{folder / 'weights'} is missing"
    (folder / "weights").mkdir()
    assert damage(folder) is not None
    assert damage(folder, only="unknown") == f"{folder / 'unknown'} is not in {CHECKSUMS}"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"weights": 3}', '{"weights": {"bytes": 4}}'])
def test_checksums_that_are_none(folder: Path, content: str) -> None:
    (folder / CHECKSUMS).write_text(content)
    fault = damage(folder)
    assert fault is not None
    assert str(folder / CHECKSUMS) in fault
    with pytest.raises(CheckpointError):
        read_checksums(folder)
    (folder / CHECKSUMS).unlink()
    assert str(damage(folder)).startswith(f"{folder / CHECKSUMS} is missing")


def test_known_checksums_are_taken_over_and_not_computed_from_what_is_there_now(folder: Path) -> None:
    known = {"weights": read_checksums(folder)["weights"]}
    (folder / "weights").write_bytes(b"damaged since")
    write_checksums(folder, known)
    assert str(damage(folder)).startswith(f"{folder / 'weights'} is damaged")
