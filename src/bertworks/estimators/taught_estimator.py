"""What the estimators share that may learn from a teacher: a model of the same task, read once before the training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.checkpoints.files import write_tensors
from bertworks.checkpoints.safetensors_file import SafetensorsFile
from bertworks.errors import SettingsError, nearest
from bertworks.estimators import model_folder
from bertworks.estimators.fingerprints import fingerprint_of_array, fingerprint_of_data, fingerprint_of_model
from bertworks.estimators.task_estimator import Encode, Lesson, TaskEstimator, model_path
from bertworks.inference import LoadedModel, score
from bertworks.nn.machine import MachineChoice
from bertworks.tasks.multiple_choice import MultipleChoice
from bertworks.tasks.task import StoredTask, merge_windows
from bertworks.tasks.taught import Taught, with_lesson
from bertworks.tasks.text_classification import TextClassification
from bertworks.tokenization import Tokenizer
from bertworks.training import TrainingConfig
from bertworks.training.run import RunFolder

SHARE, TEMPERATURE = 0.5, 2.0
"""What `teacher_share` and `temperature` are unless they are set."""
SAID = "teacher.safetensors"
"""The file of a run folder that keeps what the teacher said: a resumed run learns from the very same numbers."""
_SCORES, _FINGERPRINT = "scores", "fingerprint"
_COLDEST, _HOTTEST = 0.01, 100.0
"""Beyond them the gradients vanish, or the loss drowns in rounding."""
_SHOWN = 8


class TaughtEstimator(TaskEstimator):
    """A `TaskEstimator` with the parameters `teacher`, `teacher_share` and `temperature`."""

    teacher: str | Path | None
    teacher_share: float
    temperature: float

    def _lesson(self, task: Any, tokenizer: Tokenizer, data: PackedBatch, encode: Encode, machine: MachineChoice, resume: bool) -> Lesson:
        if self.teacher is None:
            return Lesson(task, data)
        of = {"teacher": str(self.teacher), "data": fingerprint_of_data(data), "task": repr(task.settings())}
        resumed = resume and self.output is not None and RunFolder(Path(self.output)).can_be_resumed()
        teacher, said = (self._said_before(of) if resumed else None) or self._say(task, tokenizer, data, encode, machine)
        material = {
            "teacher": teacher,
            "what the teacher says": fingerprint_of_array(said),
            "teacher_share": float(self.teacher_share),
            "temperature": float(self.temperature),
        }
        taught = Taught(task, float(self.teacher_share), float(self.temperature))
        what = "tokens" if len(said) == data.tokens else "sequences"
        told = (
            f"{self.teacher}: scores of {len(said):,} {what}, a share of {taught.share:g} in the loss, temperature {taught.temperature:g}"
        )

        def keep(run: RunFolder) -> None:
            """A run that is gone on with stays as it is: it may yet be refused."""
            if not resumed:
                write_tensors(run.path / SAID, {_SCORES: said}, metadata={**of, _FINGERPRINT: teacher})

        return Lesson(taught, with_lesson(task, data, said), material, [told], keep)

    def _say(
        self, task: Any, tokenizer: Tokenizer, data: PackedBatch, encode: Encode, machine: MachineChoice
    ) -> tuple[str, Float[Array, "rows outputs"]]:
        """The teacher's fingerprint, and what it says. Raises `SettingsError` where it cannot teach this."""
        assert self.teacher is not None
        loaded, own_tokenizer, own_task, _ = model_folder.load(model_path(self.teacher))
        order = _label_order(task, own_task, self.teacher)
        reading = _Reading(loaded, own_tokenizer, own_task, machine, str(self.teacher))
        return fingerprint_of_model(loaded.model), reading.of(task, tokenizer, data, encode, order)

    def training_config(self) -> TrainingConfig:
        """As of every estimator; raises `SettingsError` for a share or a temperature as well that cannot be, or that nothing is done
        with."""
        wrong = []
        if not _is_number(self.teacher_share) or not 0 < self.teacher_share <= 1:
            wrong.append(f"teacher_share must lie in (0, 1], 1 being the teacher alone, not {self.teacher_share!r}")
        if not _is_number(self.temperature) or not _COLDEST <= self.temperature <= _HOTTEST:
            wrong.append(f"temperature must lie in [{_COLDEST:g}, {_HOTTEST:g}], not {self.temperature!r}")
        if wrong:
            raise SettingsError("; ".join(wrong))
        if self.teacher is None and (self.teacher_share, self.temperature) != (SHARE, TEMPERATURE):
            raise SettingsError("teacher_share and temperature say how a teacher is learnt from: name a teacher, or leave them out")
        return super().training_config()

    def _said_before(self, of: Mapping[str, str]) -> tuple[str, Float[Array, "rows outputs"]] | None:
        """The fingerprint of the teacher and what it said when the run was begun, where that was kept and is `of` the same."""
        path = None if self.output is None else Path(self.output) / SAID
        if path is None or not path.exists():
            return None
        file = SafetensorsFile(path)
        if any(file.metadata.get(name) != value for name, value in of.items()):
            return None
        return file.metadata[_FINGERPRINT], np.array(file.array(_SCORES))


class _Reading:
    """How a teacher reads a student's data."""

    def __init__(self, loaded: LoadedModel, tokenizer: Tokenizer, task: Any, machine: MachineChoice, name: str) -> None:
        self._model = loaded.model.to(machine.torch_device).compute_in(machine.dtype)
        self._tokenizer, self._task, self._machine, self._name = tokenizer, task, machine, name

    def of(
        self, task: Any, tokenizer: Tokenizer, data: PackedBatch, encode: Encode, order: Sequence[int] | None
    ) -> Float[Array, "rows outputs"]:
        """What the teacher says of each sequence of the student's data, or of each of its tokens.

        Raises `SettingsError` where the two would have to read the same tokens and do not.
        """
        (head,) = task.heads
        if isinstance(task, TextClassification | MultipleChoice):
            batch = self._by_itself(task, encode)
            said = self._scores(batch)[head]
            if isinstance(task, TextClassification):  # windows may be others than the student's: a whole row says one thing
                said = merge_windows(said, batch)[data.groups]
                if task.kind == "number":
                    said = (said * self._task.scale + self._task.center - task.center) / task.scale
        else:
            self._require_same_tokens(tokenizer, data)
            said = self._scores(data)[head]
        ordered: Array = said if order is None or order == sorted(order) else said[:, order]
        return ordered.astype(np.float32, copy=False)

    def _by_itself(self, task: Any, encode: Encode) -> PackedBatch:
        """The rows, with the student's labels, as the teacher's own tokenizer and its own limits have them."""
        usual = "window" if isinstance(task, TextClassification) else "truncate"
        limits = {"max_tokens": self._task.max_tokens, "overflow": usual if self._task.overflow == "error" else self._task.overflow}
        if isinstance(task, TextClassification):
            limits["stride"] = self._task.stride
            if self._task.pairs not in (None, task.pairs):
                reads, given = ("pairs of texts", "single texts") if self._task.pairs else ("single texts", "pairs of texts")
                raise SettingsError(f"the teacher '{self._name}' reads {reads}, but the data are {given}: choose another teacher")
        return encode(replace(task, **limits), self._tokenizer)[0]

    def _require_same_tokens(self, tokenizer: Tokenizer, data: PackedBatch) -> None:
        if tokenizer.fingerprint() != self._tokenizer.fingerprint():
            raise SettingsError(
                f"the teacher '{self._name}' has another tokenizer than the model that is trained: this task is learnt token by token, so "
                "both must read the same tokens. Choose a model and a teacher with one tokenizer, and no new_tokens"
            )
        limit, longest = self._model.spec.max_tokens, int(data.lengths.max())
        if longest > limit:
            raise SettingsError(
                f"the teacher '{self._name}' reads {limit:,} tokens at once, but there are sequences of {longest:,}: set max_tokens={limit}"
            )

    def _scores(self, batch: PackedBatch) -> Any:
        return score(self._model, batch, device=self._machine.torch_device, token_budget=self._machine.token_budget)


def _label_order(task: Any, teacher: StoredTask, name: str | Path) -> list[int] | None:
    """Which output of the teacher is each of the student's; None where outputs have no names.

    Raises `SettingsError` for a teacher of another task or kind, or with other labels.
    """
    if teacher.name != task.name:
        known, wanted = (some.replace("_", " ") for some in (teacher.name, task.name))
        raise SettingsError(f"the teacher '{name}' was trained for {known}, not for {wanted}: choose one of the same task")
    if isinstance(task, TextClassification) and isinstance(teacher, TextClassification) and teacher.kind != task.kind:
        raise SettingsError(
            f"the teacher '{name}' was trained for labels of the kind '{teacher.kind}', but these are of the kind '{task.kind}': choose "
            "one of the same kind, or say what the labels are with kind"
        )
    own, theirs = list(getattr(task, "labels", ())), list(getattr(teacher, "labels", ()))
    if not own:
        return None
    if set(own) != set(theirs):  # transformers knows labels as strings only
        own, theirs = [str(label) for label in own], [str(label) for label in theirs]
    if len(set(own)) < len(own):
        raise SettingsError(f"some labels of the data differ in their type only ({_listed(own)}), which the teacher '{name}' does not tell")
    if set(own) != set(theirs):
        raise SettingsError(f"the teacher '{name}' has other labels than the data: {_difference(own, theirs)}")
    return [theirs.index(label) for label in own]


def _difference(own: list[Any], theirs: list[Any]) -> str:
    lacks = [str(label) for label in own if label not in theirs]
    more = [str(label) for label in theirs if label not in own]
    parts = [f"it lacks {_listed(lacks)}"] if lacks else []
    parts += [f"the data have no {_listed(more)}"] if more else []
    hint = nearest(lacks[0], more) if lacks else ""
    return f"{' and '.join(parts)}. Choose a teacher with the same labels, or data that have all of them.{hint}"


def _listed(labels: Sequence[str]) -> str:
    return f"{', '.join(labels[:_SHOWN])}{' …' if len(labels) > _SHOWN else ''}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and isfinite(value)
