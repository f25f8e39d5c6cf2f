"""The settings of a training, one dataclass for Python, the command line and config.toml."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from typing import Any, Literal, get_args

from bertworks.errors import SettingsError, nearest

ScheduleName = Literal["linear", "cosine", "warmup_stable_decay", "constant"]
PrecisionName = Literal["auto", "float32", "bfloat16"]
OptimizerName = Literal["adamw", "muon"]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. `None` means: chosen for the data and the model at hand, and stored in the run as chosen."""

    epochs: float | None = None
    """Passes over the data; chosen from 3 (large sets) to 20 (a few hundred rows), as Mosbach et al. 2021 advise."""
    batch_size: int = 32
    """Rows a step (an optimizer update). Memory does not depend on it: see token_budget."""
    learning_rate: float | None = None
    """Peak learning rate; chosen from the width of the model."""
    optimizer: OptimizerName = "adamw"
    """adamw (Loshchilov & Hutter 2019), or muon for the layers' matrices (Jordan et al. 2024) and adamw for all else."""
    schedule: ScheduleName = "linear"
    """Course of the learning rate after the warm-up: linear or cosine to 0, warmup_stable_decay, or constant."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises linearly from 0."""
    decay: float = 0.2
    """Share of the steps in which warmup_stable_decay falls to 0 at the end."""
    weight_decay: float = 0.01
    """Decoupled weight decay (Loshchilov & Hutter 2019); biases and norms are exempt."""
    adam_beta2: float = 0.999
    """Decay of AdamW's mean of squared gradients; below 0.999 it follows short trainings sooner (Liu et al. 2019 take 0.98)."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 does not clip."""
    layer_decay: float = 1.0
    """Factor on the learning rate from each layer to the one below (Howard & Ruder 2018); 1 treats all alike."""
    frozen_layers: int = 0
    """How many layers from below, with the embeddings, keep their weights; 0 trains all."""
    reinitialized_layers: int = 0
    """How many layers from above start anew (Zhang et al. 2021)."""
    dropout: float | None = None
    """Dropout probability everywhere; None takes what the model's config.json says."""
    average: float = 0.0
    """Share of the steps, the last ones, whose weights are averaged (Izmailov et al. 2018): the mean is what is evaluated from
    there on, and kept. 0 averages none."""
    patience: int | None = None
    """Stop after so many evaluations without gain; None never stops early. The best model is kept either way."""
    evaluations_per_epoch: float = 1.0
    """Evaluations on the validation data in an epoch."""
    seed: int = 0
    """Decides new weights, the order of the data and dropout."""
    token_budget: int | None = None
    """Most tokens computed at once; decides memory and speed, never the result. Halved, once, where memory runs out."""
    precision: PrecisionName = "auto"
    """dtype of products and states; parameters and optimizer state stay float32."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps …"""
    threads: int | None = None
    """CPU threads; None leaves it to PyTorch."""
    checkpoint_minutes: float = 5.0
    """Time between checkpoints of a run with a folder; each evaluation makes one too."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints, besides."""
    log_steps: int = 10
    """Steps between lines of log.jsonl."""

    def __post_init__(self) -> None:
        problems = self.problems()
        if problems:
            raise SettingsError("; ".join(problems))

    def problems(self) -> list[str]:
        """Everything that is wrong, in one list."""
        out = []
        above_zero = ("epochs", "batch_size", "learning_rate", "evaluations_per_epoch", "token_budget", "threads", "checkpoint_minutes")
        for name in (*above_zero, "checkpoint_steps", "log_steps", "patience"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                out.append(f"{name} must be above 0, not {value!r}")
        for name in ("warmup", "decay", "dropout", "average", "adam_beta2"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 <= value < 1):
                out.append(f"{name} must lie in [0, 1), not {value!r}")
        for name in ("weight_decay", "max_gradient_norm", "frozen_layers", "reinitialized_layers", "seed"):
            value = getattr(self, name)
            if not (_is_number(value) and value >= 0):
                out.append(f"{name} must be 0 or more, not {value!r}")
        if not (_is_number(self.layer_decay) and 0 < self.layer_decay <= 1):
            out.append(f"layer_decay must lie in (0, 1], not {self.layer_decay!r}")
        for name, kind in (("optimizer", OptimizerName), ("schedule", ScheduleName), ("precision", PrecisionName)):
            value = getattr(self, name)
            if value not in get_args(kind):
                out.append(f"{name} must be one of {', '.join(get_args(kind))}, not {value!r}.{nearest(value, get_args(kind))}")
        whole = ("batch_size", "token_budget", "threads", "checkpoint_steps", "log_steps", "patience", "frozen_layers", "seed")
        for name in (*whole, "reinitialized_layers"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                out.append(f"{name} must be a whole number, not {value!r}")
        return out

    def without_effect(self, *, validated: bool) -> list[str]:
        """What was set, and decides nothing: not beside other settings, nor where there are no validation data (`validated`)."""
        out = []
        if self.patience is not None and not validated:
            out.append("patience counts evaluations, and there are no validation data: name some, or leave out patience")
        if self.decay != TrainingConfig.decay and self.schedule != "warmup_stable_decay":
            out.append(f"decay is part of the schedule warmup_stable_decay, not of {self.schedule}: choose that, or leave out decay")
        return out

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingConfig":
        """Raises `SettingsError` for a key that does not exist, with the nearest that does."""
        names = [f.name for f in fields(cls)]
        unknown = [key for key in values if key not in names]
        if unknown:
            raise SettingsError("; ".join(f"unknown setting '{key}'.{nearest(key, names)}" for key in unknown))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def resolved(self, rows: int, hidden: int) -> "TrainingConfig":
        """The same with epochs and learning rate chosen where they were left open.

        Small sets get more passes, up to 20 (Mosbach et al. 2021, section 6), large ones 3 (Devlin et al. 2019,
        appendix A.3); small models get a higher learning rate (Turc et al. 2019, appendix A).
        """
        epochs = self.epochs if self.epochs is not None else float(min(20, max(3, -(-12_000 // max(1, rows)))))
        rate = self.learning_rate if self.learning_rate is not None else (1e-4 if hidden <= 512 else 3e-5)
        return replace(self, epochs=epochs, learning_rate=rate)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
