"""The configuration of a pretraining: one TOML file, one dataclass a table.

[corpus]                  what is read, and how it is cut into sequences
[model]                   the shape of a new model, or the model to go on from
[objectives.masked_lm]    what is learnt; besides: next_sentence, sentence_order, text_overlap, distillation, attention_relations; or
                          instead: replaced_token_detection
[training]                budget, optimizer, schedule, machine
"""

import tomllib
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields, replace
from math import isfinite
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from bertworks.data.corpus.plans import SequenceSettings
from bertworks.errors import BertworksError, SettingsError, nearest
from bertworks.tasks.masking import Masking, Unit
from bertworks.tasks.stored_settings import from_stored
from bertworks.training.config import OptimizerName, PrecisionName, ScheduleName, TrainingConfig


@dataclass(frozen=True)
class CorpusSettings:
    """What is read, and how it is cut into sequences."""

    path: str = ""
    """The folder of a prepared corpus (`bertworks corpus prepare`); it must be named."""
    max_tokens: int = 128
    """Longest sequence, special tokens included."""
    short_share: float = 0.1
    """Share of the sequences that are shorter by lot (Devlin et al. 2019, appendix A.2)."""
    cross_documents: bool = False
    """Fill sequences across the ends of documents; only where no objective wants pairs."""
    copies: float = 0.0
    """Share of the pairs that are a text and a copy of it with words missing, put in and exchanged, from which a model learns to compare
    what it reads together; held-out text has none."""
    held_out_tokens: int = 200_000
    """So many tokens of the held-out documents are evaluated on, at most."""


@dataclass(frozen=True)
class ModelSettings:
    """The shape of a new model; or, with `start`, the model to go on from."""

    start: str | None = None
    """A model folder or hub name whose training goes on; its own shape and tokenizer hold then."""
    architecture: str = "bert"
    """The family of a new model."""
    hidden: int = 256
    """Width of the hidden states."""
    layers: int = 4
    """Layers of the encoder."""
    heads: int = 4
    """Attention heads of each layer; hidden is a multiple of them."""
    feed_forward: int | None = None
    """Width of the feed-forward network; by default 4 × hidden."""
    max_positions: int = 512
    """Longest sequence that the model can ever read; positions beyond corpus.max_tokens start untrained."""
    learnt_positions: int | None = None
    """With `start`: so many positions of it were trained, the corpus.max_tokens of its own run; the later ones begin as copies of
    these, in turn (Beltagy et al. 2020, section 5)."""
    vocabulary_multiple: int = 8
    """The embedding has the tokenizer's vocabulary, rounded up to a multiple of this."""
    frequency_bias: bool = False
    """A new model's scores over the vocabulary begin with the log-frequency of each token in the corpus (Meister et al. 2023)."""
    dropout: float = 0.0
    """Dropout probability everywhere while pretraining; fine-tuning may choose its own."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of config.json, under the names of Hugging Face."""


@dataclass(frozen=True)
class ObjectiveSettings:
    """An objective: its weight in the sum of the losses; for masked_lm, what is masked (`tasks.masking.Masking`); for
    distillation and attention_relations, who teaches (`tasks.distillation`, `tasks.attention_relations`)."""

    weight: float = 1.0
    """Weight of its loss in the sum of all."""
    rate: float = 0.15
    """Share of the tokens to predict."""
    unit: Unit = "token"
    """What is hidden together: token, word or span."""
    mask_share: float = 0.8
    """Share of these that [MASK] stands for …"""
    random_share: float = 0.1
    """… and that a random token stands for."""
    teacher: str | None = None
    """The model folder or hub name of the encoder to learn from; distillation and attention_relations need one."""

    def masking(self, seed: int) -> Masking:
        """Raises `SettingsError` where the settings do not go together."""
        return Masking(self.rate, self.unit, self.mask_share, self.random_share, seed)


@dataclass(frozen=True)
class ReplacedTokenSettings(ObjectiveSettings):
    """replaced_token_detection: the weight of the discriminator's loss (the generator's has 1), what is masked for the generator,
    and who that is. The defaults are those of Clark et al. 2020: appendix A, and their code for what [MASK] stands for."""

    weight: float = 50.0
    """Weight of the discriminator's loss; the generator's has 1."""
    mask_share: float = 0.85
    """Share of the chosen tokens that [MASK] stands for in what the generator reads …"""
    random_share: float = 0.0
    """… and that a random token stands for."""
    generator_size: float = 0.25
    """Width of a new generator's layers (hidden states, heads, feed-forward) as a share of the model's."""
    generator: str | None = None
    """A model folder or hub name of a generator to go on from, whose tokenizer and embeddings' shape are the model's."""


@dataclass(frozen=True)
class BudgetSettings:
    """Budget, optimizer, schedule and machine. Exactly one of `steps`, `tokens` and `minutes` is the budget."""

    steps: int | None = None
    """Optimizer updates."""
    tokens: float | None = None
    """Tokens to train on."""
    minutes: float | None = None
    """Time to train for; turned once, by a measurement at the start, into a number of steps that the run keeps."""
    batch_size: int = 128
    """Sequences a step, at the end of the ramp."""
    batch_ramp: float = 0.0
    """Share of the steps over which the batch grows linearly from a quarter of its size (Warner et al. 2024 warm up so)."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    optimizer: OptimizerName = "adamw"
    """adamw, or muon for the layers' matrices and adamw for all else."""
    schedule: ScheduleName = "linear"
    """linear, cosine, warmup_stable_decay or constant."""
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises linearly from 0."""
    decay: float = 0.2
    """Share of the steps in which warmup_stable_decay falls to 0 at the end."""
    weight_decay: float = 0.01
    """Decoupled weight decay (Loshchilov & Hutter 2019); biases and norms are exempt."""
    adam_beta2: float = 0.999
    """Decay of AdamW's mean of squared gradients; below 0.999 it follows short trainings sooner (Liu et al. 2019 take 0.98)."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 does not clip."""
    average: float = 0.0
    """Share of the steps, the last ones, whose weights are averaged; the mean is what is evaluated from there on, and kept."""
    evaluations: int = 10
    """Evaluations on held-out text, evenly spread over the run; the last stands at its end."""
    seed: int = 0
    """Decides new weights, sequences, masks and dropout."""
    token_budget: int | None = None
    """Most tokens computed at once, by default chosen for the machine; decides memory and speed, never the result."""
    precision: PrecisionName = "auto"
    """dtype of products and states: auto, float32 or bfloat16; parameters and optimizer state stay float32."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps …"""
    threads: int | None = None
    """CPU threads; by default PyTorch decides."""
    checkpoint_minutes: float = 10.0
    """Time between checkpoints."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints, besides."""
    log_steps: int = 20
    """Steps between lines of log.jsonl."""

    def training_config(self, dropout: float | None = None) -> TrainingConfig:
        """The same for the loop. Raises `SettingsError` that lists all that is wrong."""
        names = {f.name for f in fields(TrainingConfig)} & {f.name for f in fields(self)}
        return TrainingConfig(**{name: getattr(self, name) for name in names}, dropout=dropout)


_MASKING = ("rate", "unit", "mask_share", "random_share")
OBJECTIVE_KEYS: Mapping[str, tuple[str, ...]] = {
    "masked_lm": ("weight", *_MASKING),
    "next_sentence": ("weight",),
    "sentence_order": ("weight",),
    "text_overlap": ("weight",),
    "replaced_token_detection": ("weight", *_MASKING, "generator_size", "generator"),
    "distillation": ("weight", "teacher"),
    "attention_relations": ("weight", "teacher"),
}
"""The settings that each objective reads."""
OBJECTIVES = tuple(OBJECTIVE_KEYS)
_TAUGHT = ("distillation", "attention_relations")
_MODELS = ("teacher", "generator")
"""Settings of objectives that name a model folder."""
_NOT_BESIDE_DETECTION = ("masked_lm", "next_sentence", "sentence_order", "text_overlap")
_OBJECTIVE_TABLES: dict[str, type] = {"replaced_token_detection": ReplacedTokenSettings}
_TABLES: dict[str, type] = {"corpus": CorpusSettings, "model": ModelSettings, "training": BudgetSettings}


@dataclass(frozen=True)
class PretrainingConfig:
    """Everything that a pretraining is made of."""

    corpus: CorpusSettings
    model: ModelSettings = field(default_factory=ModelSettings)
    objectives: Mapping[str, ObjectiveSettings] = field(default_factory=lambda: {"masked_lm": ObjectiveSettings()})
    training: BudgetSettings = field(default_factory=BudgetSettings)

    def __post_init__(self) -> None:
        problems = self.problems()
        if problems:
            raise SettingsError("; ".join(problems))

    def problems(self) -> list[str]:
        """Everything that is wrong, in one list."""
        out = []
        given = [name for name in ("steps", "tokens", "minutes") if getattr(self.training, name) is not None]
        if len(given) != 1:
            out.append(f"[training] needs one budget: steps, tokens or minutes, not {' and '.join(given) or 'none'}")
        out += [f"[training] {name} must be above 0" for name in given if not _above_zero(getattr(self.training, name))]
        if not self.corpus.path:
            out.append("[corpus] needs the path of a prepared corpus (bertworks corpus prepare)")
        if not self.objectives:
            out.append(f"an objective is needed: {', '.join(f'[objectives.{name}]' for name in OBJECTIVES)}")
        for name, settings in self.objectives.items():
            if name not in OBJECTIVES:
                out.append(f"[objectives.{name}] is unknown.{nearest(name, OBJECTIVES)} Known: {', '.join(OBJECTIVES)}")
            elif (settings.teacher is None) == (name in _TAUGHT):
                wanted = "needs a teacher: a model folder or hub name" if name in _TAUGHT else "takes no teacher"
                out.append(f"[objectives.{name}] {wanted}")
            idle = [f.name for f in fields(settings) if f.name not in ("teacher", *OBJECTIVE_KEYS.get(name, ())) and _is_set(settings, f)]
            if name in OBJECTIVES and idle:
                out.append(
                    f"[objectives.{name}] {' and '.join(idle)} would change nothing there: it takes {', '.join(OBJECTIVE_KEYS[name])}"
                )
            if settings.weight != 0 and not _above_zero(settings.weight):
                out.append(f"[objectives.{name}] weight must be a number, 0 or more, not {settings.weight!r}")
        out += [*self._problems_of_names(), *self._problems_of_detection()]
        if not 0 <= self.training.batch_ramp < 1:
            out.append(f"[training] batch_ramp must lie in [0, 1), not {self.training.batch_ramp}")
        if not isinstance(self.training.evaluations, int) or self.training.evaluations < 1:
            out.append(f"[training] evaluations is a number of evaluations, at least 1, not {self.training.evaluations!r}")
        for name in ("hidden", "layers", "heads", "max_positions", "vocabulary_multiple"):
            value = getattr(self.model, name)
            if not isinstance(value, int) or value < 1:
                out.append(f"[model] {name} must be a whole number above 0, not {value!r}")
        if self.model.frequency_bias and (self.model.start is not None or "masked_lm" not in self.objectives):
            why = "the model in start has learnt its own" if self.model.start is not None else "only masked_lm has such scores"
            out.append(f"[model] frequency_bias is where a new model's scores over the vocabulary begin: {why}; leave it out")
        learnt = self.model.learnt_positions
        if learnt is not None and (not isinstance(learnt, int) or learnt < 2):
            out.append(f"[model] learnt_positions must be a whole number above 1, not {learnt!r}")
        if learnt is not None and self.model.start is None:
            out.append("[model] learnt_positions says how many positions the model in start has learnt: name that, or leave it out")
        if not out and self.model.hidden % self.model.heads:
            out.append(f"[model] hidden ({self.model.hidden}) must be a multiple of heads ({self.model.heads})")
        if not out and self.model.start is None and self.corpus.max_tokens > self.model.max_positions:
            out.append(f"[corpus] max_tokens ({self.corpus.max_tokens}) is above [model] max_positions ({self.model.max_positions})")
        for check in (lambda: self.training.training_config(), lambda: self.sequences(), self._check_maskings):
            try:
                check()
            except BertworksError as error:
                out.append(str(error))
        return out

    def _problems_of_names(self) -> list[str]:
        """Of folders and hub names, which are text."""
        named = [("corpus", "path", self.corpus.path), ("model", "start", self.model.start)]
        for name, settings in self.objectives.items():
            named += [(f"objectives.{name}", key, getattr(settings, key, None)) for key in _MODELS]
        wrong = [(table, key, value) for table, key, value in named if not isinstance(value, str | PathLike | None)]
        return [f"[{table}] {key} must be text, not {value!r}" for table, key, value in wrong]

    def _problems_of_detection(self) -> list[str]:
        table = "[objectives.replaced_token_detection]"
        settings = self.objectives.get("replaced_token_detection")
        if settings is None:
            return []
        if not isinstance(settings, ReplacedTokenSettings):
            return [f"{table} takes ReplacedTokenSettings, not {type(settings).__name__}"]
        out = []
        beside = [name for name in _NOT_BESIDE_DETECTION if name in self.objectives]
        if beside:
            out.append(
                f"{table} cannot stand beside {' and '.join(beside)}: its generator learns masked words already, and the model reads "
                "whole texts, of which it says what was replaced; it has no head for pairs of texts"
            )
        if self.model.start is None and self.model.architecture != "electra":
            out.append(f'{table} is what an ELECTRA learns: set [model] architecture = "electra", not "{self.model.architecture}"')
        size = settings.generator_size
        if not _above_zero(size) or size > 1:
            out.append(f"{table} generator_size must be above 0 and at most 1, not {size!r}")
        return out

    def _check_maskings(self) -> None:
        for settings in self.objectives.values():
            settings.masking(0)

    def sequences(self) -> SequenceSettings:
        """How sequences are cut: in pairs where an objective wants them."""
        other = "next_sentence" if "text_overlap" in self.objectives else "none"
        pairing = next((name for name in ("next_sentence", "sentence_order") if name in self.objectives), other)
        corpus = self.corpus
        cut = (corpus.max_tokens, pairing, corpus.short_share, corpus.cross_documents)
        return SequenceSettings(*cut, seed=self.training.seed, copies=corpus.copies)  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PretrainingConfig":
        """Raises `SettingsError` that names every unknown table and setting, with the nearest that exists."""
        problems = [
            f"unknown table [{name}].{nearest(name, [*_TABLES, 'objectives'])}" for name in values if name not in (*_TABLES, "objectives")
        ]
        tables: dict[str, Any] = {}
        for name, kind in _TABLES.items():
            tables[name], wrong = _table(kind, values.get(name, {}), name)
            problems += wrong
        objectives = values.get("objectives", {"masked_lm": {}})
        if not isinstance(objectives, Mapping):
            objectives, problems = {}, [*problems, "[objectives] is a table of tables: [objectives.masked_lm]"]
        made = {}
        for name, settings in objectives.items():
            made[name], wrong = _table(_OBJECTIVE_TABLES.get(name, ObjectiveSettings), settings, f"objectives.{name}")
            problems += wrong
        if problems:
            raise SettingsError("; ".join(problems))
        return cls(tables["corpus"], tables["model"], made, tables["training"])

    @classmethod
    def read(cls, path: str | Path) -> "PretrainingConfig":
        """Reads a TOML file; a relative path of the corpus or of a model is taken from the file's folder, where it exists there."""
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingsError(f"the configuration '{path}' does not exist") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"the configuration '{path}' cannot be read: {error}") from None
        objectives = values["objectives"] if isinstance(values.get("objectives"), dict) else {}
        places = [(values.get("corpus"), "path"), (values.get("model"), "start")]
        places += [(table, key) for table in objectives.values() for key in _MODELS]
        for table, name in places:
            given = table.get(name) if isinstance(table, dict) else None
            if isinstance(table, dict) and isinstance(given, str) and (Path(path).parent / given).exists():
                table[name] = str((Path(path).parent / given).absolute())
        return cls.from_dict(values)

    def placed(self) -> "PretrainingConfig":
        """The same with each folder by its whole path: a run goes on from wherever it is called."""
        objectives = {
            name: replace(settings, **{key: _whole_path(getattr(settings, key)) for key in _MODELS if hasattr(settings, key)})
            for name, settings in self.objectives.items()
        }
        corpus, model = replace(self.corpus, path=_whole_path(self.corpus.path)), replace(self.model, start=_whole_path(self.model.start))
        return replace(self, corpus=corpus, model=model, objectives=objectives)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the TOML file has them."""
        return asdict(self)

    def describes(self, run: "PretrainingConfig") -> bool:
        """Whether a run that keeps the configuration `run` was begun with this one: what was a budget of tokens or time is a
        number of steps there, and folders have their whole paths."""
        own, kept = self.placed().to_dict(), run.placed().to_dict()
        for values in (own, kept):
            for name in ("tokens", "minutes", *([] if self.training.steps else ["steps"])):
                del values["training"][name]
        return own == kept


def _table(kind: type, values: Any, name: str) -> tuple[Any, list[str]]:
    """The dataclass of a table, and all that is wrong with its keys and their types."""
    if not isinstance(values, Mapping):
        return None, [f"[{name}] must be a table, not {values!r}"]
    plain = {key: fspath(value) if isinstance(value, PathLike) else value for key, value in values.items()}
    wrong = []
    for key, value in plain.items():
        try:
            from_stored(kind, {key: value}, f"[{name}]")
        except SettingsError as error:
            wrong.append(str(error))
    return None if wrong else from_stored(kind, plain, f"[{name}]"), wrong


def _whole_path(name: Any) -> Any:
    """A folder by its whole path; what is none, the name of a model on the hub, as it is."""
    if name is None:
        return None
    try:
        path = Path(name).expanduser()
        return str(path.absolute()) if path.is_dir() else str(name)
    except (OSError, RuntimeError):  # a name too long, the home of nobody
        return str(name)


def _is_set(settings: ObjectiveSettings, which: Field[Any]) -> bool:
    """Whether a setting is not the default."""
    return bool(getattr(settings, which.name) != which.default)


def _above_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value > 0
