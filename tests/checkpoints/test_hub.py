"""Names of models: local folders, and hub names against a stub of the hub on the loopback."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bertworks.checkpoints import resolve
from bertworks.checkpoints.leftovers import sibling
from bertworks.errors import CheckpointError
from bertworks.pretrained import DEFAULT, shipped
from tests.checkpoints.stub_of_hub import OLD, stub_of_hub

WANTED = {"config.json", "tokenizer.json", "vocab.txt", "modules.json", "1_Pooling/config.json", "model.safetensors"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A running stub and an empty cache; the value lists the requests."""
    monkeypatch.chdir(tmp_path)
    with stub_of_hub(tmp_path) as requests:
        yield requests


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def refused(model: str | Path | None, **options: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        resolve(model, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_names_and_revisions(hub: list[str], tmp_path: Path) -> None:
    folder = resolve("org/safe")
    assert folder.is_relative_to(tmp_path / "hf")
    assert names(folder) == WANTED
    assert (folder / "model.safetensors").read_bytes() == b"new weights"
    assert (resolve("org/safe", revision="v1.0") / "model.safetensors").read_bytes() == b"old weights"
    assert (resolve("org/safe", revision=OLD) / "model.safetensors").read_bytes() == b"old weights"
    assert (resolve("plain-name") / "config.json").is_file()
    assert not any(path in request for request in hub for path in ("README", "onnx", "h5", "checkpoint-500", "pytorch_model"))


def test_older_weights_only_where_there_are_no_others(hub: list[str]) -> None:
    assert names(resolve("org/legacy")) == WANTED - {"model.safetensors"} | {"pytorch_model.bin"}


def test_a_module_may_have_older_weights_alone(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = resolve("org/mixed")
    modules = {"2_Dense/config.json", "2_Dense/pytorch_model.bin", "3_Dense/config.json", "3_Dense/model.safetensors"}
    assert names(folder) == WANTED | modules
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve("org/mixed") == folder


def test_the_cache_serves_offline(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = [resolve("org/safe"), resolve("org/legacy"), resolve("org/safe", revision="v1.0")]
    hub.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [resolve("org/safe"), resolve("org/legacy"), resolve("org/safe", revision="v1.0")] == first
    message = refused("plain-name")
    assert "HF_HUB_OFFLINE is set" in message
    assert "hf download plain-name" in message
    assert hub == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert resolve("org/safe") == first[0]
    assert "127.0.0.1:9 is out of reach" in refused("plain-name")


def test_hf_hub_cache_goes_before_hf_home(hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert resolve("plain-name").is_relative_to(tmp_path / "elsewhere")


def test_what_the_hub_refuses(hub: list[str], tmp_path: Path) -> None:
    (tmp_path / "reviews").mkdir()
    assert "is gated: accept its terms at http://127.0.0.1" in refused("org/gated")
    assert "no model 'org/absent': neither a local folder nor at http" in refused("org/absent")
    assert "Did you mean 'reviews'?" in refused("reviws")
    assert "'org/safe' has no revision 'v9'" in refused("org/safe", revision="v9")
    assert "no files of a model" in refused("org/words")
    assert "does not give 'org/broken'" in refused("org/broken")


def test_local_folders_go_first(hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "org" / "safe"
    folder.mkdir(parents=True)
    for model in (folder, str(folder), "org/safe", "./org/safe", Path("org/safe"), "org/safe/"):
        assert resolve(model).samefile(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/org/safe") == folder
    assert hub == []


def test_the_encoder_that_comes_with_the_package(hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(None) == resolve(DEFAULT) == shipped()
    (tmp_path / DEFAULT).mkdir()
    assert resolve(DEFAULT) == Path(DEFAULT), "a folder here goes first"
    assert hub == []


def test_paths_that_are_absent(hub: list[str], tmp_path: Path) -> None:
    (tmp_path / "runs" / "reviews").mkdir(parents=True)
    (tmp_path / "runs" / "config.json").write_text("{}")
    for model in ("runs/reviws", "./runs/reviws", str(tmp_path / "runs" / "review"), Path("runs/reviws"), "runs/reviws/"):
        assert f"Did you mean '{Path(model).with_name('reviews')}'?" in refused(model), "the whole path, to be copied"
    assert "runs has reviews" in refused("./runs/zzzzzz")
    assert "does not exist either" in refused("nowhere/at/all")
    assert "is a file, not a model folder: name its folder, runs" in refused("runs/config.json")
    assert "leave out revision" in refused("runs/reviews", revision="main")
    for model in ("", "a b", "org/na--me", "..x/..", "C:\\models\\x", "-flag", "org/../x"):
        assert "no model folder" in refused(model)
    for revision in ("../../x", "/etc", "a b", ""):
        assert "cannot be a revision" in refused("org/safe", revision=revision)
    assert hub == []


def test_a_save_that_was_cut_off_is_found(hub: list[str], tmp_path: Path) -> None:
    path = tmp_path / "model"
    pid = os.posix_spawn("/bin/true", ["true"], {}) if os.path.exists("/bin/true") else pytest.skip("needs a process that ended")
    os.waitpid(pid, 0)
    old = sibling(path, "old")
    (tmp_path / old.name.replace(f"-{os.getpid()}-", f"-{pid}-")).mkdir()
    assert resolve(path) == path
    assert path.is_dir()
