"""Names of models: local folders, and hub names against a stub of the hub on the loopback."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bertworks.checkpoints import resolve
from bertworks.checkpoints.leftovers import sibling
from bertworks.errors import CheckpointError

MAIN, OLD = "a" * 40, "b" * 40
COMMON = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "vocab.txt": b"[PAD]",
    "README.md": b"long",
    "onnx/model.onnx": b"o" * 1000,
    "tf_model.h5": b"t" * 1000,
    "checkpoint-500/model.safetensors": b"c" * 1000,
    "modules.json": b"[]",
    "1_Pooling/config.json": b"{}",
}
SAFE = {**COMMON, "model.safetensors": b"new weights", "pytorch_model.bin": b"p" * 1000}
REPOSITORIES = {
    "org/safe": {MAIN: SAFE, OLD: {**SAFE, "model.safetensors": b"old weights"}},
    "plain-name": {MAIN: SAFE},
    "org/legacy": {MAIN: {**COMMON, "pytorch_model.bin": b"pickle"}},
    "org/words": {MAIN: {"README.md": b"nothing else"}},
}
WANTED = {"config.json", "tokenizer.json", "vocab.txt", "modules.json", "1_Pooling/config.json", "model.safetensors"}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as is needed to fetch a snapshot."""

    requests: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.requests.append(f"{self.command} {path}")
        api = path.startswith("api/models/")
        name, kind, rest = next(
            (n, k, r)
            for k in ("revision", "tree", "resolve")
            for n, found, r in [path.removeprefix("api/models/").partition(f"/{k}/")]
            if found
        )
        if name == "org/gated":
            return self.answer(403, b"{}", X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        if name == "org/broken":
            return self.answer(501, b"{}")
        if name not in REPOSITORIES:
            return self.answer(401, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        revision, _, file = rest.partition("/")
        commit = {"main": MAIN, "v1.0": OLD}.get(revision, revision)
        files = REPOSITORIES[name].get(commit)
        if files is None:
            return self.answer(404, b"{}", X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        if not api:
            etag = hashlib.sha1(files[file]).hexdigest()
            return self.answer(200, files[file], ETag=f'"{etag}"', X_Repo_Commit=commit)
        if kind == "tree":
            listed = [{"type": "file", "path": f, "size": len(c), "oid": hashlib.sha1(c).hexdigest()} for f, c in files.items()]
            return self.answer(200, json.dumps(listed).encode(), Content_Type="application/json")
        facts = {"id": name, "modelId": name, "sha": commit, "private": False, "siblings": [{"rfilename": f} for f in files], "tags": []}
        return self.answer(200, json.dumps(facts).encode(), Content_Type="application/json", X_Repo_Commit=commit)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A running stub and an empty cache; the value lists the requests."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    requests: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Stub", (Hub,), {"requests": requests}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    yield requests
    server.shutdown()
    server.server_close()
    thread.join()


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
    assert resolve(None, default=folder) == folder
    assert hub == []


def test_paths_that_are_absent(hub: list[str], tmp_path: Path) -> None:
    (tmp_path / "runs" / "reviews").mkdir(parents=True)
    (tmp_path / "runs" / "config.json").write_text("{}")
    for model in ("runs/reviws", "./runs/reviws", str(tmp_path / "runs" / "review"), Path("runs/reviws"), "runs/reviws/"):
        assert "Did you mean 'reviews'?" in refused(model)
    assert "runs has reviews" in refused("./runs/zzzzzz")
    assert "does not exist either" in refused("nowhere/at/all")
    assert "is a file, not a model folder: name its folder, runs" in refused("runs/config.json")
    assert "no model was named" in refused(None)
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
