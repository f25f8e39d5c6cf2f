"""What all estimators share: from a pretrained model, a task and its encoded rows to a trained model, its folder, and back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from bertworks.accounting import Accounting
from bertworks.architectures import read_description
from bertworks.batch import PackedBatch
from bertworks.checkpoints.hub import resolve
from bertworks.errors import SettingsError
from bertworks.estimators import model_folder
from bertworks.estimators.base import Estimator
from bertworks.estimators.fingerprints import fingerprint_of_data, fingerprint_of_model
from bertworks.estimators.first_look import longest_read
from bertworks.estimators.stored_task import is_few_shot
from bertworks.inference import LoadedModel, load_model, score
from bertworks.inference.models import Storage, StoredDtype, resize_vocabulary
from bertworks.nn.machine import MachineChoice, choose
from bertworks.tasks import Scores, StoredTask, Task
from bertworks.tokenization import Overflow, Tokenizer
from bertworks.training import TrainingConfig
from bertworks.training.leading import leader, require, shared_device, train
from bertworks.training.progress import Progress
from bertworks.training.run import FIT, RunFolder

Encode = Callable[[Any, Tokenizer], tuple[PackedBatch, Accounting]]
"""From a task and a tokenizer to encoded rows with targets, and what became of the rows."""


@dataclass(frozen=True)
class Lesson:
    """What a model is trained on, and by which losses."""

    task: Task
    data: PackedBatch
    material: Mapping[str, Any] = field(default_factory=lambda: {"teacher": None})
    """What the result depends on besides data, model and task."""
    told: Sequence[str] = ()
    """What a person should know of a teacher, in lines."""
    keep: Callable[[RunFolder], None] = lambda run: None
    """Writes into the run's folder what a resumed run needs to learn the same."""


class TaskEstimator(Estimator):
    """The base of the estimators that fine-tune a model for one task.

    A subclass encodes its rows, calls `_train`, and may change the task by what held-out data say (`_finish`). Learnt:
    `loaded_`, `tokenizer_`, `task_`, `machine_` (device, precision … and why), `accounting_`, `history_` (evaluations),
    `result_`, `about_`, `loading_report_`.
    """

    model: str | Path | None
    revision: str | None
    overflow: Overflow
    max_tokens: int | None
    stride: int | None
    new_tokens: Sequence[str]
    output: str | Path | None
    progress: bool | Progress
    task_: Any
    accounting_: Accounting
    validation_accounting_: Accounting | None

    _write_model = staticmethod(model_folder.write_model)
    _read_model = staticmethod(model_folder.read_model)

    # ---- training

    def _train(
        self,
        make_task: Callable[[int], StoredTask],
        encode: Encode,
        *,
        rows: int,
        validation: Encode | None = None,
        resume: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Trains on the rows that `encode` encodes, evaluates on those of `validation`, and keeps the best model.

        `make_task` is given the model's limit of tokens; `rows` is the number of training examples, by which open settings
        are chosen. With `resume`, a run that was interrupted in `output` goes on, and ends in the same bits as one that was
        not. `provenance`, plain values, is kept in the run's config.toml under `data`.
        """
        config, launcher = self.training_config(), leader().launcher
        idle = config.without_effect(validated=validation is not None)
        if idle and not resume:  # a run that was begun with such settings goes on with them
            raise SettingsError("; ".join(idle))
        if isinstance(self.new_tokens, str):
            raise SettingsError(f"new_tokens is a list of words, not one string: put it in a list, [{self.new_tokens!r}]")
        folder = resolve(self.model, revision=self.revision)
        tokenizer = Tokenizer.load(folder)
        if self.new_tokens:
            tokenizer.add_tokens(list(self.new_tokens))
        task, loaded = self._pretrained(folder, make_task, config)
        if config.frozen_layers > len(loaded.model.encoder.layers):
            raise SettingsError(f"frozen_layers is {config.frozen_layers}, but the model has {len(loaded.model.encoder.layers)} layers")
        resize_vocabulary(loaded, max(tokenizer.vocabulary_size, loaded.model.spec.embedding.vocabulary))
        loaded.model.reinitialize_top(config.reinitialized_layers, config.seed)
        config = config.resolved(rows, loaded.model.spec.hidden)
        machine = choose(shared_device(config.device), config.precision, config.token_budget, config.threads)

        data, self.accounting_ = encode(task, tokenizer)
        held_out, self.validation_accounting_ = (None, None) if validation is None else validation(task, tokenizer)
        progress = self._progress()
        self._tell(progress, config, machine, [*loaded.report.lines(), *tokenizer.notes])
        require(task, machine.device)
        if self.output is not None and not resume:
            RunFolder.require_new(Path(self.output))
        lesson = self._lesson(task, tokenizer, data, encode, machine, resume)
        if lesson.told:
            progress.facts("teacher", list(lesson.told))
        material = {
            "training data": fingerprint_of_data(data),
            "validation data": None if held_out is None else fingerprint_of_data(held_out),
            "model": fingerprint_of_model(loaded.model),
            "task": task.settings(),
            **lesson.material,
        }
        run = self._run(config, machine, resume, provenance or {}, launcher)
        options: dict[str, Any] = {"validation": held_out, "run": run, "material": material, "progress": progress}
        if run is not None:
            lesson.keep(run)
        result = train(loaded.model, lesson.task, lesson.data, config, machine, **options)
        task, learnt = self._finish(task, loaded, machine, held_out)
        self._adopt(loaded, tokenizer, task, machine)
        self.history_ = result.state.evaluations
        self.result_ = result
        self.about_ = {
            "rows": rows,
            "training": config.to_dict(),
            "machine": {"device": machine.device, "precision": machine.precision},
            "accounting": self.accounting_.to_dict(),
            "validation": result.best_metrics,
            **learnt,
            "steps": result.state.step,
        }
        if run is not None:
            with run.saying_how_to_go_on():
                self.save(run.model, replace=True)
        return self

    def _pretrained(self, folder: Path, make_task: Callable[[int], StoredTask], config: TrainingConfig) -> tuple[StoredTask, LoadedModel]:
        """The task, and the model that is to learn it."""
        task = make_task(read_description(folder)[2].max_tokens)
        return task, load_model(folder, task.heads, new_heads=True, seed=config.seed, dropout=config.dropout)

    def _lesson(self, task: Any, tokenizer: Tokenizer, data: PackedBatch, encode: Encode, machine: MachineChoice, resume: bool) -> Lesson:
        """What is learnt from the encoded rows: their labels, or a teacher as well (`TaughtEstimator`)."""
        return Lesson(task, data)

    def _finish(
        self, task: Any, loaded: LoadedModel, machine: MachineChoice, held_out: PackedBatch | None
    ) -> tuple[StoredTask, dict[str, Any]]:
        """The task as it is used from now on (thresholds tuned on held-out data, say), and what is to be told of that in
        `about_`. May change the model."""
        return task, {}

    def _limited(self, limit: int) -> int:
        """The longest sequence to use, given the longest that the model reads."""
        return longest_read(self.max_tokens, limit)

    def _run(
        self, config: TrainingConfig, machine: MachineChoice, resume: bool, provenance: Mapping[str, Any], launcher: str
    ) -> RunFolder | None:
        if self.output is None:
            if resume:
                raise SettingsError("resume needs the run's folder: give it as output")
            return None
        path = Path(self.output)
        of_command = provenance or (path.parent / "config.toml").exists()  # that of the run which this one is a part of
        begun: dict[str, Any] = {"verb": "train" if of_command else FIT, "launcher": launcher}
        if resume and RunFolder(path).can_be_resumed():
            return RunFolder(path, **begun)
        own = {k: v for k, v in self.get_params().items() if k in self._own_names() and k not in ("output", "progress")}
        folders = {name: value for name, value in own.items() if name in ("model", "teacher") and value is not None}
        own |= {name: str(Path(value).absolute() if Path(value).is_dir() else value) for name, value in folders.items()}
        own |= {name: str(value) for name, value in own.items() if isinstance(value, Path)}
        own |= {name: list(value) for name, value in own.items() if isinstance(value, tuple)}
        own |= {name: {str(k): v for k, v in value.items()} for name, value in own.items() if isinstance(value, dict)}
        chosen = {
            "device": machine.device,
            "precision": machine.precision,
            "token_budget": machine.token_budget,
            "threads": machine.threads,
        }
        settings = {self.settings_table: own, "training": {**config.to_dict(), **chosen}, "data": provenance}
        return RunFolder.create(path, settings, replace=resume, **begun)

    def _progress(self) -> Progress:
        if isinstance(self.progress, Progress):
            return self.progress
        if not self.progress:
            return Progress()
        from bertworks.estimators.progress import TerminalProgress

        return TerminalProgress()

    def _tell(self, progress: Progress, config: TrainingConfig, machine: MachineChoice, loading: list[str]) -> None:
        progress.facts("model", loading)
        progress.facts("input", self.accounting_.lines())
        if self.validation_accounting_ is not None:
            progress.facts("validation", self.validation_accounting_.lines())
        progress.facts("machine", machine.lines())
        rate = f"learning rate {config.learning_rate:g}, {config.schedule}"
        progress.facts("training", [f"{config.epochs:g} epochs, {config.batch_size} rows a step, {rate}, seed {config.seed}"])

    def _adopt(self, loaded: LoadedModel, tokenizer: Tokenizer, task: Any, machine: MachineChoice) -> None:
        """Takes a trained or loaded model as its own."""
        self.loaded_, self.tokenizer_, self.task_, self.machine_ = loaded, tokenizer, task, machine
        self.loading_report_ = loaded.report

    # ---- use

    def _scores(self, data: PackedBatch) -> Scores:
        """What the model's heads say of encoded rows."""
        loaded, machine = self.loaded_, self.machine_
        loaded.model.to(machine.torch_device).compute_in(machine.dtype)
        return score(loaded.model, data, device=machine.torch_device, token_budget=machine.token_budget)

    # ---- folders

    def _ready(self) -> Any:
        """The task, once there is a model to use."""
        return self._require("task_")

    def save(
        self, folder: str | Path, *, replace: bool = False, dtype: StoredDtype = "float32", max_shard_bytes: int | None = None
    ) -> Path:
        """Writes a self-contained model folder that `transformers` loads too; returns its path.

        `dtype` is what the weights are rounded to in their file ("float16" and "bfloat16" halve it); with `max_shard_bytes`, a
        larger file becomes several with an index. Raises `CheckpointError` where the folder exists, unless `replace`.
        """
        task = self._ready()
        ways: dict[str, Any] = {"write": self._write_model, "read": self._read_model, "storage": Storage(dtype, max_shard_bytes)}
        about = getattr(self, "about_", {})
        model_folder.save(Path(folder), self.loaded_, self.tokenizer_, task, about=about, replace=replace, **ways)
        return Path(folder)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        precision: Any = "auto",
        threads: int | None = None,
        verify: bool = False,
        **params: Any,
    ) -> Self:
        """Reads a model folder, or a run folder's finished model; also what `transformers` saved.

        `verify` computes the folder's smoke cases again, and raises `CheckpointError` where they differ.
        """
        path = model_path(folder)
        loaded, tokenizer, task, about = model_folder.load(path, verify=verify, read=cls._read_model)
        model = path if Path(folder).is_dir() else folder  # of a run's folder the model's, which can be trained further
        estimator = cls(model=str(model), device=device, precision=precision, threads=threads, **params)
        machine = choose(device, precision, params.get("token_budget"), threads, training=False)
        estimator._adopt(loaded, tokenizer, task, machine)
        estimator.about_ = about
        return estimator


def model_path(folder: str | Path) -> Path:
    """The folder of the model itself: that of a finished run lies within the run's."""
    path = resolve(folder)
    model = path / "model"
    return model if (model / "config.json").exists() or is_few_shot(model) else path
