"""Pretraining: one or several objectives on one model, whose losses are summed with weights (Devlin et al. 2019, appendix A.2)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from jaxtyping import Bool

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.plans import Pairing
from bertworks.errors import SettingsError
from bertworks.evaluation import Metrics
from bertworks.tasks.task import Scores


class Objective(Protocol):
    """What a model learns from text alone."""

    @property
    def name(self) -> str:
        """The name of its head and of its targets."""
        ...

    @property
    def pairing(self) -> Pairing:
        """What texts a sequence must be made of; "none" takes any."""
        ...

    @property
    def head(self) -> tuple[HeadKind, int]:
        """The kind of its head, and the number of outputs."""
        ...

    @property
    def loss(self) -> tuple[str, Mapping[str, Any]]:
        """The name of its loss in `nn.losses.LOSSES`, and its options."""
        ...

    def prepare(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> PackedBatch:
        """The batch with what the objective hides from it, and its targets."""
        ...

    @property
    def reported(self) -> tuple[str, ...]:
        """Which of its metrics are told."""
        ...

    def metrics(self) -> Any:
        """Empty metrics."""
        ...

    def update_metrics(self, metrics: Any, batch: PackedBatch, scores: Scores) -> None:
        """Adds a prepared batch and the model's scores for it."""
        ...


class PretrainingMetrics:
    """The metrics of several objectives, each with the objective's name before its own: masked_lm_loss."""

    def __init__(self, parts: Mapping[str, Metrics], reported: Mapping[str, tuple[str, ...]]) -> None:
        self.parts, self._reported = dict(parts), dict(reported)

    @property
    def _leading(self) -> str:
        """The objective by which a model is judged: the first whose lower values are better, else the first."""
        return next((name for name, part in self.parts.items() if not part.higher_is_better), next(iter(self.parts)))

    @property
    def headline(self) -> str:
        """That of the leading objective."""
        return f"{self._leading}_{self.parts[self._leading].headline}"

    @property
    def higher_is_better(self) -> bool:
        """As the leading objective has it."""
        return self.parts[self._leading].higher_is_better

    def merge(self, other: "PretrainingMetrics") -> None:
        """Adds what `other` has seen."""
        for name, part in self.parts.items():
            part.merge(other.parts[name])

    def compute(self) -> dict[str, Any]:
        """The metrics that each objective reports."""
        computed = {name: part.compute() for name, part in self.parts.items()}
        return {f"{name}_{key}": values[key] for name, values in computed.items() for key in self._reported[name]}


class Pretraining:
    """The task."""

    name: ClassVar[str] = "pretraining"

    def __init__(self, objectives: Sequence[Objective]) -> None:
        """Raises `SettingsError` where there is no objective, or two of a name, or two that want different pairs of texts."""
        if not objectives:
            raise SettingsError("pretraining needs an objective: masked_lm, for one")
        pairings = {objective.pairing for objective in objectives} - {"none"}
        if len(pairings) > 1:
            raise SettingsError(f"objectives want different pairs of texts: {', '.join(sorted(pairings))}")
        names = [objective.name for objective in objectives]
        if len(set(names)) < len(names):
            raise SettingsError(f"pretraining has two objectives of one name: {', '.join(names)}")
        self.objectives = tuple(objectives)
        self.pairing: Pairing = next(iter(pairings), "none")

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        return {objective.name: objective.head for objective in self.objectives}

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        return {objective.name: objective.loss for objective in self.objectives}

    def prepare(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> PackedBatch:
        """The batch with the targets of all objectives."""
        for objective in self.objectives:
            batch = objective.prepare(batch, word_starts)
        return batch

    def metrics(self) -> PretrainingMetrics:
        parts = {objective.name: objective.metrics() for objective in self.objectives}
        return PretrainingMetrics(parts, {objective.name: objective.reported for objective in self.objectives})

    def update_metrics(self, metrics: PretrainingMetrics, batch: PackedBatch, scores: Scores) -> None:
        for objective in self.objectives:
            objective.update_metrics(metrics.parts[objective.name], batch, scores)
