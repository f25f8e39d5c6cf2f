"""A stub of the hub on the loopback: as much of it as is needed to fetch a snapshot, and a few refusals."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

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
MODULES = {
    "2_Dense/config.json": b"{}",
    "2_Dense/pytorch_model.bin": b"pickle",
    "3_Dense/config.json": b"{}",
    "3_Dense/model.safetensors": b"new weights",
    "3_Dense/pytorch_model.bin": b"pickle",
}
REPOSITORIES = {
    "org/safe": {MAIN: SAFE, OLD: {**SAFE, "model.safetensors": b"old weights"}},
    "plain-name": {MAIN: SAFE},
    "org/legacy": {MAIN: {**COMMON, "pytorch_model.bin": b"pickle"}},
    "org/mixed": {MAIN: {**SAFE, **MODULES}},
    "org/words": {MAIN: {"README.md": b"nothing else"}},
}


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


@contextmanager
def stub_of_hub(folder: Path) -> Iterator[list[str]]:
    """A running stub as the hub of this process, with its cache in `folder`; the value lists the requests."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    requests: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Stub", (Hub,), {"requests": requests}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(folder / "hf"), "NO_PROXY": "127.0.0.1"}
    try:
        with patch.dict(os.environ, address), patch("huggingface_hub.constants.HF_HUB_OFFLINE", False):
            for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
                os.environ.pop(name, None)
            yield requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
