"""The tasks that the verbs know, and which of them a command is about.

`train`, `evaluate`, `predict`, `answers`, `inspect` and `explain` in this folder are those of text classification. Each is
`dispatched`: where the command is about another task, the function of the same name in that task's module is called, with
the arguments that differ from their defaults.

To add a task, add a line to `KINDS`. Its module holds the functions that the task has, with the names and the options of
the ones here as far as they make sense (and others beside them), and returns the same reports: `TrainReport`,
`EvaluationReport`, `PredictionReport` (whose answers have `line` and `to_dict`), `InspectionReport`, `ExplanationReport`; and
`TRAINING`, a `TaskTraining`, which studies train by. An option that such a function does not have is refused by name. A
model's folder says which task it is for; `train` and `inspect` take the `task` that is named, or the one whose `recognises`
knows the form of the data.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from bertworks.checkpoints.toml_files import read_toml
from bertworks.errors import BertworksError, SettingsError, nearest
from bertworks.estimators.stored_task import task_name
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.task_training import TaskTraining

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class TaskKind:
    """A task as the verbs see it."""

    name: str
    """What `task` (`--task`) calls it."""
    stored: str
    """What the folder of a model calls it (`stored_task.task_name`)."""
    settings_table: str
    """The table of a run's config.toml that holds the estimator's parameters."""
    module: str = ""
    """Where its verbs are; those of text classification are in this folder."""
    recognises: str = ""
    """"module:function" that says of a source whether its form is unmistakably this task's. It must not raise."""

    as_classification: tuple[str, ...] = ()
    """Verbs of text classification that serve this task as they are."""

    @property
    def training(self) -> TaskTraining:
        """What tells its training from that of other tasks."""
        found: TaskTraining = import_module(self.module or "bertworks.estimators.classification_training").TRAINING
        return found

    def options(self, verb: str) -> Collection[str]:
        """The parameters of this task's own function."""
        function = getattr(import_module(self.module), verb, None) if self.module else None
        return inspect.signature(function).parameters if function is not None else ()

    def call(self, verb: str, given: Arguments, known: Mapping[str, Any]) -> Any:
        """Calls this task's function. `known` are the parameters of text classification's.

        Raises `SettingsError` where the task has no such function, or the function no such option.
        """
        function = getattr(import_module(self.module), verb, None)
        if function is None:
            raise SettingsError(f"{verb} does not know models for {self.name}")
        parameters = inspect.signature(function).parameters
        takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for name in given:
            if name not in parameters and (name in known or not takes_more):
                other = ", or choose another task (--task classification, say)" if "task" in known else ""
                hint = nearest(name, parameters) or f" Leave it out{other}"
                raise SettingsError(f"{verb} has no option '{name}' for the task '{self.name}'.{hint}")
        return function(**given)


CLASSIFICATION = TaskKind("classification", "text_classification", "classifier")
KINDS = (
    CLASSIFICATION,
    TaskKind("entities", "tagging", "entities", "bertworks.estimators.entities.verbs", "bertworks.data.tagged:is_tagged"),
    TaskKind("choices", "multiple_choice", "multiple_choice", "bertworks.estimators.choices.verbs", "bertworks.data.choices:is_choices"),
    TaskKind("answers", "question_answering", "answerer", "bertworks.estimators.answers.verbs", "bertworks.data.squad:is_questions"),
    TaskKind("embeddings", "sentence_embedding", "embeddings", "bertworks.estimators.embeddings.verbs"),
    TaskKind(
        "few-shot",
        "few_shot",
        "few_shot",
        "bertworks.estimators.embeddings.few_shot_verbs",
        as_classification=("evaluate", "predict", "answers", "inspect"),
    ),
)

PRETRAINED = TaskKind("masked-lm", "masked_lm", "pretraining", "bertworks.estimators.pretraining.verbs")
"""Models as `pretrain` makes them. It is none of the tasks to name, as `train` knows it not."""


def dispatched(
    choose: Callable[[Arguments], TaskKind],
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """A decorator for text classification's verbs: `choose` says, by the arguments that were given, whose verb is meant."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        signature = inspect.signature(function)

        @wraps(function)
        def verb(*values: Parameters.args, **named: Parameters.kwargs) -> Result:
            given = _given(signature, values, named)
            kind = choose(given)
            if kind is CLASSIFICATION or function.__name__ in kind.as_classification:
                _check_known(function.__name__, kind, signature, named)
                return function(*values, **named)
            return kind.call(function.__name__, {k: v for k, v in given.items() if k != "task"}, signature.parameters)  # type: ignore[no-any-return]

        return verb

    return decorate


def _given(signature: inspect.Signature, values: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call that differ from their defaults, and those that only another task may have, by name."""
    unknown = _unknown(signature, named)
    found: dict[str, Any] = {name: named[name] for name in unknown}
    for name, value in signature.bind(*values, **{k: v for k, v in named.items() if k not in unknown}).arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= value
        elif not _is_same(value, parameter.default):
            found[name] = value
    return found


def _unknown(signature: inspect.Signature, named: Mapping[str, Any]) -> list[str]:
    """The names among those of arguments that a function does not take."""
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return []
    return [name for name in named if name not in signature.parameters]


def _check_known(verb: str, kind: TaskKind, signature: inspect.Signature, named: Mapping[str, Any]) -> None:
    """Raises `SettingsError` for an option that text classification's function does not have, with the task whose it is."""
    for name in _unknown(signature, named):
        others = [other.name for other in (*KINDS, PRETRAINED) if other is not kind and name in other.options(verb)]
        way = f" (--task {others[0]})" if others and "task" in signature.parameters else ""
        remedy = f" It is one of the task '{others[0]}'{way}" if others else " Leave it out"
        raise SettingsError(f"{verb} has no option '{name}' for the task '{kind.name}'.{nearest(name, signature.parameters) or remedy}")


def _is_same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and isinstance(value, str | int | float) and value == default)


# ---- which task


def named(name: str) -> TaskKind:
    """The task called so. Raises `SettingsError` with the nearest name where there is none."""
    names = [kind.name for kind in KINDS]
    if name not in names:
        raise SettingsError(f"there is no task '{name}'; known: {', '.join(names)}.{nearest(str(name), names)}")
    return next(kind for kind in KINDS if kind.name == name)


def of_data(given: Arguments) -> TaskKind:
    """The task that is named, else the one that knows the form of `data`, else text classification."""
    if given.get("task") is not None:
        return named(given["task"])
    if given.get("data") is not None:
        for kind in KINDS:
            module, _, function = kind.recognises.partition(":")
            if module and getattr(import_module(module), function)(given["data"]):
                return kind
    return CLASSIFICATION


def of_training(given: Arguments) -> TaskKind:
    """The task of the run that is resumed, or of the data.

    Raises `SettingsError` where a task is named for a run that is resumed.
    """
    if given.get("resume") is None:
        return of_data(given)
    if given.get("task") is not None:
        raise SettingsError("a run is resumed with its own settings: leave out task")
    return of_run(Path(given["resume"]))


def of_run(folder: Path) -> TaskKind:
    """The task of a run folder, by its config.toml; text classification where nothing tells."""
    try:
        settings = read_toml(folder / "config.toml")
    except (BertworksError, OSError):
        return CLASSIFICATION  # whose verbs say what is wrong with the folder
    return next((kind for kind in KINDS if kind.settings_table in settings), CLASSIFICATION)


def of_model(given: Arguments) -> TaskKind:
    """The task of the model folder, run folder or hub name `model`; text classification where nothing tells."""
    try:
        stored = task_name(model_path(given["model"]))
    except (BertworksError, OSError, KeyError):
        return CLASSIFICATION  # whose verbs say what is wrong with the folder
    return of_task(stored)


def of_task(stored: str) -> TaskKind:
    """The task by the name that folders of models give it. Raises `SettingsError` where these verbs do not know it."""
    found = next((kind for kind in (*KINDS, PRETRAINED) if kind.stored == stored), None)
    if found is None:
        raise SettingsError(f"this model is for another task ({stored.replace('_', ' ')})")
    return found


def of_explained(given: Arguments) -> TaskKind:
    """The task of `model`, as `of_model` has it; a pretrained model is explained as the bare encoder that it is."""
    kind = of_model(given)
    return CLASSIFICATION if kind is PRETRAINED else kind


def of_estimator(given: Arguments) -> TaskKind:
    """The task of a loaded model, the argument `classifier`."""
    return of_task(given["classifier"].task_.name)
