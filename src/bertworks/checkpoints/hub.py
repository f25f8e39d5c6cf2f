"""From what a user calls a model to a folder on this machine.

A local folder is itself. Anything else that can be a hub name is fetched with `huggingface_hub`, which is imported
only then, into its usual cache; a second time, and offline, the cache answers.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from bertworks.checkpoints.atomic import recover
from bertworks.errors import CheckpointError, nearest_beside
from bertworks.pretrained import DEFAULT, shipped, shipped_names

_TOKENIZER = ["tokenizer*.json", "vocab*", "merges*", "special_tokens_map.json", "added_tokens.json", "*.model"]
_DESCRIPTION = ["config.json", "config_sentence_transformers.json", "sentence_*_config.json", "modules.json", "bertworks*", "smoke.json"]
_MODULES = ["[0-9]_*/config.json", "[0-9]_*/model.safetensors"]
_SAFETENSORS = ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
WANTED = [*_DESCRIPTION, *_TOKENIZER, *_MODULES, *_SAFETENSORS]
"""Files of a repository that are fetched, and nothing else: no checkpoints of its training, no other frameworks' weights."""
_OLDER = ["pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json"]
"""PyTorch's older weights, for a repository without safetensors."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
_YES = {"1", "ON", "YES", "TRUE"}


def resolve(model: str | Path | None, *, revision: str | None = None) -> Path:
    """The folder of a model: a local folder as it is, a hub name such as "bert-base-uncased" or "org/name" fetched.

    `None` and "bertworks-mini" are the encoder that comes with bertworks. A local folder goes before any other name. `revision`
    is a branch, tag or commit of a hub repository. HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME and HF_HUB_CACHE are read at the call.
    PyTorch's older weights are fetched only where a repository, or the folder of a module in it, has no safetensors.

    Raises `CheckpointError`, in one line with the remedy, when a path is absent (naming its nearest sibling), and
    when the hub does not know or does not give the model, or cannot be reached and the cache does not hold it.

    >>> resolve(".").is_dir()
    True
    """
    if model is None or (model in shipped_names() and not Path(model).exists()):
        model = shipped(str(model or DEFAULT))
    path = _local(model)
    if not path.exists() and path.name:
        with suppress(OSError):  # a save that was cut off may have left the folder under another name
            recover(path)
    if path.is_dir() and str(model):
        if revision is not None:
            raise CheckpointError(f"{model} is a local folder, which has no revisions: leave out revision={revision!r}")
        return path
    if path.exists() and str(model):
        raise CheckpointError(f"{model} is a file, not a model folder: name its folder, {path.parent}")
    if isinstance(model, Path) or not _NAME.fullmatch(model) or ".." in model or "--" in model or _is_mistyped_path(path):
        raise CheckpointError(f"no model folder {model}.{_siblings(path)}")
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise CheckpointError(f"{revision!r} cannot be a revision: it is a branch, a tag or a commit")
    return _fetch(model, revision)


def _local(model: str | Path) -> Path:
    """The path that a model's name may be. Raises `CheckpointError` where the system cannot even look for it."""
    try:
        path = Path(model).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:  # a name too long, a folder that may not be entered, the home of nobody
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).rstrip(".")
        raise CheckpointError(f"'{model!s:.200}' cannot be looked for: {reason}; name a model folder or a hub name") from error
    return path


def _is_mistyped_path(path: Path) -> bool:
    """A name such as "runs/reviws" may be a hub name too; beside a folder `runs/reviews` it is taken for a slip."""
    return path.parent != Path() and bool(_nearest_sibling(path))


def _nearest_sibling(path: Path) -> str:
    try:
        return nearest_beside(path, sorted(entry.name for entry in os.scandir(path.parent) if entry.is_dir()))
    except OSError:
        return ""


def _siblings(path: Path) -> str:
    if not path.parent.is_dir():
        return f" Its parent {path.parent} does not exist either"
    try:
        names = sorted(entry.name for entry in os.scandir(path.parent) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        return f" {path.parent} cannot be read: {error.strerror}"
    hint, where = nearest_beside(path, names), "This folder" if path.parent == Path() else str(path.parent)
    if hint or not names:
        return hint or f" {where} has no folders in it"
    return f" {where} has {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"


def _offline() -> bool:
    return (os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or "").upper() in _YES


def _cache() -> str | None:
    """The cache that the environment names now; None leaves it to `huggingface_hub`, which read it when imported."""
    cache, home = os.environ.get("HF_HUB_CACHE"), os.environ.get("HF_HOME")
    where = cache or (os.path.join(home, "hub") if home else None)
    return os.path.expandvars(os.path.expanduser(where)) if where else None


def _fetch(name: str, revision: str | None) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        raise CheckpointError(f"no local folder '{name}', and fetching it needs huggingface_hub: pip install huggingface_hub") from error
    options: dict[str, Any] = {
        "revision": revision,
        "endpoint": os.environ.get("HF_ENDPOINT") or None,
        "cache_dir": _cache(),
        "local_files_only": _offline(),
        "library_name": "bertworks",
    }
    try:
        folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=WANTED, **options))
        if older := _older_weights(folder):
            folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=[*WANTED, *older], **options))
    except Exception as error:  # the hub client lets errors of several libraries through
        raise CheckpointError(_what_to_do(name, revision, error)) from error
    if not folder.is_dir():
        raise CheckpointError(f"the hub's '{name}' has no files of a model: is it a model of the BERT family?")
    return folder


def _older_weights(folder: Path) -> list[str]:
    """The patterns of PyTorch's older weights where a fetched folder has no others: in itself, and in the folders of modules."""
    modules = [path for path in folder.glob("[0-9]_*") if not path.name.endswith("_Pooling")]  # a pooling has no weights
    lacking = [path for path in (folder, *modules) if not any(path.glob("*.safetensors"))]
    return [pattern if path == folder else f"{path.name}/{pattern}" for path in lacking for pattern in _OLDER]


def _what_to_do(name: str, revision: str | None, error: Exception) -> str:
    from huggingface_hub import constants, errors

    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, errors.HfHubHTTPError):
        error = error.__cause__  # the hub was reached, and said why not
    cause = " ".join(str(error.__cause__ or error).partition("For more information")[0].split())[:200]
    version = f" at revision '{revision}'" if revision else ""
    if isinstance(error, errors.GatedRepoError):
        return f"'{name}' is gated: accept its terms at {endpoint}/{name}, then 'hf auth login'"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no model '{name}': neither a local folder nor at {endpoint}.{_nearest_sibling(Path(name))} Is it private? 'hf auth login'"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"'{name}' has no revision '{revision}': see {endpoint}/{name}/tree/main for those it has"
    if isinstance(error, errors.HfHubHTTPError):
        return f"{endpoint} does not give '{name}'{version} ({cause}): try again later, or name a local folder"
    if isinstance(error, errors.LocalEntryNotFoundError) and _offline():
        cached = _cache() or constants.HF_HUB_CACHE
        return (
            f"no local folder '{name}', and it is not (wholly) in the cache {cached}{version} while HF_HUB_OFFLINE is set: "
            f"unset it, or run 'hf download {name}' where there is a network"
        )
    if isinstance(error, (errors.LocalEntryNotFoundError, ConnectionError, TimeoutError)):
        return f"no local folder '{name}'{version}, not in the cache, and {endpoint} is out of reach ({cause}): connect, or name a folder"
    return f"cannot fetch '{name}'{version} from {endpoint} ({type(error).__name__}: {cause}): try again, or name a local folder"
