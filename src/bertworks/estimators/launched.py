"""What `train` does where `torchrun` has started it: it is divided among the processes that there are (where its task can be), and
begun again it goes on with the run that it began, since `torchrun` gives the same command once more where a process was lost.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from bertworks.checkpoints.files import read_json, write_json
from bertworks.data.table import read_table
from bertworks.errors import BertworksError, SettingsError
from bertworks.estimators import runs
from bertworks.estimators.data_settings import IN_MEMORY
from bertworks.estimators.fingerprints import fingerprint_of_rows
from bertworks.training.config import TrainingConfig
from bertworks.training.distributed import is_launched
from bertworks.training.leading import led

Parameters = ParamSpec("Parameters")
Report = TypeVar("Report")

COMMAND = "command.json"
"""The arguments that a run was begun with, in its folder."""
_ELSEWHERE = ("output", "progress")
"""Arguments that decide nothing of what is learnt, and may be others when a run goes on."""
_SOURCES = ("data", "validation")


def launched(train: Callable[Parameters, Report]) -> Callable[Parameters, Report]:
    """A decorator for `train`."""
    signature = inspect.signature(train)
    usual = {name: parameter.default for name, parameter in signature.parameters.items()}
    usual |= {field.name: field.default for field in fields(TrainingConfig)}

    @wraps(train)
    def verb(*values: Parameters.args, **named: Parameters.kwargs) -> Report:
        given = dict(signature.bind(*values, **named).arguments)
        given |= given.pop("settings", {})
        if not is_launched() or given.get("resume") is not None:
            return led(lambda: train(*values, **named))
        return led(lambda: _begun_or_gone_on_with(train, given, _told(given, usual)))

    return verb


def _begun_or_gone_on_with(train: Callable[..., Report], given: Mapping[str, Any], told: Mapping[str, Any]) -> Report:
    """Raises `SettingsError` where no folder is named, and where the one that is has the run of another command."""
    if given.get("output") is None:
        raise SettingsError("torchrun may begin the same run several times: name its folder (--output)")
    folder = Path(given["output"])
    if (folder / runs.SETTINGS).exists():
        begun = read_json(folder / COMMAND) if (folder / COMMAND).exists() else None
        if begun != told:
            odd = [] if begun is None else sorted(name for name in {**begun, **told} if begun.get(name) != told.get(name))
            what = f"a run that was begun with other settings ({', '.join(odd)})" if odd else "a run that torchrun did not begin"
            raise SettingsError(f"{folder} holds {what}: go on with it by --resume, choose another folder, or delete it")
        in_memory = {name: given[name] for name in _SOURCES if str(told.get(name)).startswith(IN_MEMORY)}
        return train(resume=folder, progress=given.get("progress"), **in_memory)
    write_json(folder / COMMAND, told)
    try:
        return train(**given)
    finally:
        if not (folder / runs.SETTINGS).exists():
            (folder / COMMAND).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()


def _told(given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a run depends on, as plain values, without what is usual; rows in memory by a hash."""
    told = {name: value for name, value in given.items() if name not in _ELSEWHERE}
    for name in _SOURCES:
        if not isinstance(told.get(name), str | Path | None):
            told[name] = f"{IN_MEMORY} {_fingerprint(told[name])}"
    plain: dict[str, Any] = json.loads(json.dumps(told, default=str))
    return {name: value for name, value in plain.items() if value is not None and value != usual.get(name)}


def _fingerprint(source: Any) -> str:
    """A hash of rows in memory, in whichever form."""
    try:
        return fingerprint_of_rows(read_table(source).data.to_pylist())
    except BertworksError:
        return fingerprint_of_rows(source)
