"""Only plain files are opened, and links only where they may lead."""

import os
import socket
from pathlib import Path

import pytest

from bertworks.checkpoints.opening import kind_of_file, open_file, read_file
from bertworks.errors import CheckpointError


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_file(path)
    return str(caught.value)


def test_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain").write_bytes(b"x")
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    kinds = {"plain": None, "pipe": "a pipe", "socket": "a socket", "/dev/null": "a device", ".": "a folder"}
    assert {name: kind_of_file(Path(name)) for name in kinds} == kinds
    for name, kind in kinds.items():
        if kind is not None:
            assert f"is {kind}, not a file" in refused(Path(name))
    with open_file(Path("plain")) as stream:
        assert stream.read() == b"x"


@pytest.mark.parametrize(
    ("link", "target", "allowed"),
    [
        ("home/config.json", "home/other.json", True),
        ("home/config.json", "home/sub/other.json", True),
        ("home/config.json", "away/config.json", True),
        ("home/config.json", "away/other.json", False),
        ("home/config.json", "away/key", False),
        ("home/config.json", "blobs/" + "0123456789abcdef" * 4, True),
        ("home/config.json", "store/ab/" + "c" * 30, True),
        ("home/config.json", "store/ab/" + "c" * 29, False),
        ("home/vocab.txt", "away/" + "C" * 40, False),
        ("home/model.safetensors", "away/version 2.safetensors", True),
        ("home/pytorch_model.bin", "away/version 2.bin", True),
        ("home/model.safetensors", "away/version 2.bin", False),
        ("home/model.safetensors", "home-from-home/x", False),
    ],
)
def test_where_links_may_lead(tmp_path: Path, link: str, target: str, allowed: bool) -> None:
    for name in (link, target):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / target).write_bytes(b"content")
    (tmp_path / "between").symlink_to(tmp_path / target)
    for way in (tmp_path / target, tmp_path / "between"):
        (tmp_path / link).unlink(missing_ok=True)
        (tmp_path / link).symlink_to(way)
        if allowed:
            assert read_file(tmp_path / link, 100) == b"content"
        else:
            told = refused(tmp_path / link)
            assert f"is a link to {(tmp_path / target).resolve()}, out of its folder: refused" in told


def test_a_folder_that_is_a_link_is_no_trick(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"x")
    (tmp_path / "real" / "b").symlink_to("a")
    (tmp_path / "link").symlink_to("real")
    assert read_file(tmp_path / "link" / "b", 1) == b"x"


def test_sizes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    assert read_file(tmp_path / "a", 1000) == bytes(1000)
    with pytest.raises(CheckpointError, match="is larger than 999 bytes"):
        read_file(tmp_path / "a", 999)


def test_what_the_system_does_not_hand_out(tmp_path: Path) -> None:
    assert "is missing" in refused(tmp_path / "nowhere")
    assert "embedded null byte" in refused(tmp_path / "a\0b")
    assert "File name too long" in refused(tmp_path / ("a" * 300))
    (tmp_path / "file").touch()
    assert "Not a directory" in refused(tmp_path / "file" / "inside")
