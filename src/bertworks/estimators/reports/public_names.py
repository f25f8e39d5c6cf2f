"""What models and data are called where others read it: by names of the hub, never by folders of this machine."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bertworks.data.files import split_suffixes
from bertworks.estimators.data_settings import IN_MEMORY
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.wording import mapping
from bertworks.estimators.runs import ESTIMATORS
from bertworks.pretrained import DEFAULT, shipped_names

_PRIVATE = "private data"
_NAME = re.compile(r"(?P<repository>[^:]+)(:[\w.-]+)?")


def base_model(run: RunRecord) -> str | None:
    """The hub's name of the model that was fine-tuned; None where it was a folder, or is not known."""
    if "base_model" in run.about:
        stored = run.about["base_model"]
        return stored if is_hub_name(stored) else None
    if not any(name in run.settings for name in ESTIMATORS):
        return None
    model = estimator_settings(run).get("model")
    return model if is_hub_name(model) and model not in shipped_names() else None


def shipped_base(run: RunRecord) -> str | None:
    """The name of the encoder of this package that was fine-tuned; None where it was another."""
    if "base_model" in run.about or not any(name in run.settings for name in ESTIMATORS):
        return None
    model = estimator_settings(run).get("model")
    return DEFAULT if model is None else model if model in shipped_names() else None


def estimator_settings(run: RunRecord) -> Mapping[str, Any]:
    """What the estimator of a run was made with."""
    return mapping(next((run.settings[name] for name in ESTIMATORS if name in run.settings), None))


def is_hub_name(value: Any) -> bool:
    """Whether a string can be the name of a model or data set of the hub ("name:configuration" too), and is no file or folder here.

    >>> is_hub_name("bert-base-uncased"), is_hub_name("/models/bert"), is_hub_name("reviews.csv"), is_hub_name(None)
    (True, False, False, False)
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    parts = _NAME.fullmatch(value) if isinstance(value, str) else None
    if parts is None or split_suffixes(Path(value))[1]:
        return False
    try:
        validate_repo_id(parts["repository"])
    except HFValidationError:
        return False
    return not Path(value).exists()


def data_name(source: Any) -> str:
    """What data are called: a hub name as it is, of a path only the last part.

    >>> data_name("/home/someone/reviews.csv"), data_name(None)
    ('reviews.csv', 'private data')
    """
    if not isinstance(source, str) or source == IN_MEMORY:
        return _PRIVATE
    return without_folders(source) or _PRIVATE


def without_folders(value: Any) -> Any:
    """The last part of a string that is an absolute path, of any system; any other value as it is.

    >>> without_folders("C:\\\\Users\\\\someone\\\\x.csv"), without_folders("bert-base-uncased"), without_folders(3)
    ('x.csv', 'bert-base-uncased', 3)
    """
    if not isinstance(value, str):
        return value
    absolute = PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute() or value.startswith("~")
    return PureWindowsPath(value).name if absolute else value
