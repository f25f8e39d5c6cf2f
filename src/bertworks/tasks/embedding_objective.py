"""What sentence vectors are trained by: scored pairs, texts that belong together, the texts alone, or a teacher's vectors.

- "scores": the cosine of two texts is to be their score (Reimers & Gurevych 2019, section 3.1);
- "ranking": a text is to find its partner among all of the step (multiple negatives ranking: Henderson et al. 2017); rows may
  bring negatives of their own;
- "simcse": the same with each text as its own partner, under another dropout mask (Gao, Yao & Chen 2021);
- "distillation": each text is to have the vector that a teacher gives it; texts of a row, as a sentence and its translation,
  have the same (Reimers & Gurevych 2020).

A row is a tuple of texts; its sequences are all in the same step. All losses compare whole texts: windows are merged first.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from bertworks.accounting import Accounting
from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import Metrics
from bertworks.evaluation.nearest import Comparison, similarities
from bertworks.evaluation.retrieval import PairRankingMetrics
from bertworks.evaluation.similarity import SimilarityMetrics
from bertworks.evaluation.vectors import VectorMetrics
from bertworks.spec import VectorSpec
from bertworks.tasks.embedding import HEAD, SentenceEmbedding, merged_vectors
from bertworks.tasks.task import Scores, first_of_groups
from bertworks.tokenization import Tokenizer

ObjectiveName = Literal["scores", "ranking", "simcse", "distillation"]
Judgement = Literal["scores", "ranking", "teacher"]
Distance = Literal["cosine", "squared"]
TEXT, ROLE, SAME = "text", "role", "same"
"""Targets of each sequence: the number of its text, in the order of rows and roles; the text's role in its row; and a number
that equal texts share."""
UNIT = "unit"
"""The option of a loss that says whether vectors have the length 1."""

_ROW_OF = {
    "scores": "a pair of texts",
    "ranking": "a text, its partner, and negatives if there are any",
    "simcse": 'one text: name one column with text="…" (--text …), or, if the texts of a row belong together, choose '
    'objective="ranking" (--objective ranking)',
}
_LOSSES = {"scores": "similarity", "ranking": "ranking", "simcse": "ranking"}


@dataclass(frozen=True)
class EmbeddingObjective:
    """How a sentence encoder is trained, and by what it is judged on validation data."""

    embedding: SentenceEmbedding
    kind: ObjectiveName
    judged_by: Judgement | None = None
    """How validation rows are judged; None as the kind has it."""
    scale: float = 20.0
    """Ranking: factor on cosines before the softmax, the inverse of the temperature."""
    symmetric: bool = False
    """Ranking: whether partners have to find their texts, too."""
    matryoshka: tuple[int, ...] = ()
    """Sizes of the vectors' beginnings that are to be good vectors by themselves, the whole among them."""
    distance: Distance = "cosine"
    """Distillation: what is to be small, 1 - cosine or the mean squared difference."""
    lowest: float = 0.0
    """Scores: the score of texts that have nothing in common, cosine 0, …"""
    highest: float = 1.0
    """… and of those that mean the same, cosine 1."""
    teacher_width: int | None = None
    """Distillation: features of the teacher's vectors."""
    prompt: str | None = None
    """What stands before each text: the name of a prompt of the model, or a text; None is the model's default prompt."""
    size: int | None = None
    """How many features of a vector are judged, from the first on; None is all."""
    by: Comparison = "cosine"
    """How the vectors that are judged are compared."""
    vectors: VectorSpec = field(default_factory=VectorSpec)
    """How vectors are made; only told (`settings`), so that a resumed run knows."""

    @property
    def name(self) -> str:
        return self.embedding.name

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        return self.embedding.heads

    @property
    def max_tokens(self) -> int:
        return self.embedding.max_tokens

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        name = _LOSSES.get(self.kind, f"teacher_{self.distance}")
        options = {"scale": self.scale, "symmetric": self.symmetric, "dimensions": self.matryoshka, UNIT: self.embedding.is_unit}
        return {HEAD: (name, options)}

    # ---- rows

    def encode(
        self, rows: Sequence[tuple[str, ...]], tokenizer: Tokenizer, targets: Sequence[Any] | Array | None = None, judged: bool = False
    ) -> tuple[PackedBatch, Accounting]:
        """Rows of texts as one packed batch, row `i` being group `i`: to train on or, with `judged`, to be judged by.

        `targets` are the scores of rows, or their vectors `[rows, width]`. Raises `DataError` where a row has too few texts
        for its purpose, or a target is missing or none.
        """
        what = self._judgement if judged else {"distillation": "teacher"}.get(self.kind, self.kind)
        self._check(rows, what)
        if what == "simcse":
            rows = [(text, text) for (text,) in rows]
        return self._packed(rows, tokenizer, what, self._targets(what, targets, len(rows)))

    def encode_pairs(
        self, rows: Sequence[tuple[str, ...]], tokenizer: Tokenizer, targets: Sequence[Any] | Array | None, *, rows_at_once: int
    ) -> Iterator[tuple[PackedBatch, Accounting]]:
        """What `encode` gives of scored pairs that are to be judged, so many rows at a time: each pair is judged by itself, so that
        nothing of the rows before has to be kept. All rows and scores are looked at before the first are encoded; errors as there.
        """
        self._check(rows, "scores")
        wanted = self._targets("scores", targets, len(rows))
        for start in range(0, len(rows), rows_at_once):
            some = slice(start, start + rows_at_once)
            yield self._packed(rows[some], tokenizer, "scores", wanted[some], first_row=start)

    def _packed(
        self, rows: Sequence[tuple[str, ...]], tokenizer: Tokenizer, what: str, targets: Float[Array, "rows ..."], first_row: int = 0
    ) -> tuple[PackedBatch, Accounting]:
        """Checked rows with their targets; `first_row` is the number of the first row in messages."""
        counts = np.array([len(row) for row in rows], dtype=np.int64)
        texts = [text for row in rows for text in row]
        row_of_text = np.repeat(np.arange(len(rows)), counts)
        of_texts = (first_row + row_of_text).tolist()
        batch, seen = self.embedding.encode(texts, tokenizer, self.embedding.prompt(self.prompt), first_row=of_texts)
        numbers: dict[str, int] = {}
        same = np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)
        roles = np.arange(len(texts)) - np.repeat(np.cumsum(counts) - counts, counts)
        wanted = targets[row_of_text]
        of = batch.groups
        more = {HEAD: wanted[of], TEXT: of, ROLE: roles[of], SAME: same[of]}
        seen.rows = len(rows)
        if what == "ranking" and len(numbers) < len(texts):
            seen.notes["texts that stand more than once: they are no negatives of each other"] += len(texts) - len(numbers)
        joined = PackedBatch(
            **{
                **{name: getattr(batch, name) for name in ("input_ids", "position_ids", "segment_ids", "offsets", "keys")},
                "groups": row_of_text[of],
                "targets": {**batch.targets, **more},
            }
        )
        return joined, seen

    def _check(self, rows: Sequence[tuple[str, ...]], what: str) -> None:
        least, most = {"scores": (2, 2), "ranking": (2, None), "simcse": (1, 1), "teacher": (1, None)}[what]
        for number, row in enumerate(rows):
            if len(row) < least or (most is not None and len(row) > most):
                raise DataError(
                    f"row {number} has {len(row)} texts, but for the objective '{what}' a row is {_ROW_OF.get(what, 'one text')}"
                )

    def _targets(self, what: str, targets: Sequence[Any] | Array | None, rows: int) -> Float[Array, "rows ..."]:
        if what in ("ranking", "simcse"):
            return np.zeros(rows, dtype=np.float32)
        if targets is None:
            raise DataError(
                f"the objective '{self.kind}' needs {'a score' if what == 'scores' else 'a vector'} for each row: give them as y"
            )
        try:
            values = np.asarray(targets, dtype=np.float32)
        except (TypeError, ValueError):
            raise DataError("the targets must be numbers, a score for each row, or vectors of equal length") from None
        if len(values) != rows or values.ndim != (1 if what == "scores" else 2):
            shape = f"[{rows}]" if what == "scores" else f"[{rows}, width]"
            raise DataError(f"{rows} rows need targets of the shape {shape}, not {list(values.shape)}")
        if not np.isfinite(values).all():
            raise DataError(f"row {int(np.argmin(np.isfinite(values.reshape(rows, -1)).all(axis=1)))}: the target is not finite")
        return values if what != "scores" else (values - np.float32(self.lowest)) / np.float32(self.highest - self.lowest)

    # ---- validation

    @property
    def _judgement(self) -> Judgement:
        usual: dict[str, Judgement] = {"scores": "scores", "ranking": "ranking", "simcse": "ranking", "distillation": "teacher"}
        return self.judged_by or usual[self.kind]

    def metrics(self, replicates: int = 0) -> Metrics:
        """Empty metrics of validation rows; with `replicates`, they have intervals."""
        match self._judgement:
            case "scores":
                return SimilarityMetrics(replicates=replicates)
            case "ranking":
                return PairRankingMetrics(replicates=replicates, by=self.by)
            case "teacher":
                return VectorMetrics()

    def update_metrics(self, metrics: Any, batch: PackedBatch, scores: Scores) -> None:
        whole = merged_vectors(scores[HEAD], batch.targets[TEXT], batch.lengths, self.embedding.is_unit)
        vectors = self.embedding.cut(whole, self.size)
        first = first_of_groups(batch.targets[TEXT])
        roles, same, targets = (batch.targets[name][first] for name in (ROLE, SAME, HEAD))
        match metrics:
            case SimilarityMetrics():
                metrics.update(targets[roles == 0], similarities(vectors[roles == 0], vectors[roles == 1], self.by))
            case PairRankingMetrics():
                metrics.update(vectors, batch.groups[first], roles, same)
            case VectorMetrics():
                metrics.update(vectors, targets[:, : vectors.shape[1]])

    def settings(self) -> dict[str, Any]:
        """All that decides the result of a training, as JSON can hold it."""
        plain = json.dumps({**asdict(self), "vectors": repr(self.vectors)})
        return json.loads(plain)  # type: ignore[no-any-return]

    def problems(self, width: int) -> list[str]:
        """What is wrong with the settings for vectors of so many features, in words."""
        sizes, other = self.matryoshka, self.teacher_width
        wrong = {
            f"scale must be above 0, not {self.scale}": not self.scale > 0,
            f"highest must be above lowest, not {self.highest} and {self.lowest}": not self.highest > self.lowest,
            f"matryoshka sizes lie from 1 to {width}, the vectors' own: {list(sizes)}": not all(1 <= size <= width for size in sizes),
            f"dimensions must be a whole number from 1 to {width}, the vectors' own, not {self.size!r}": self.size is not None
            and not (isinstance(self.size, int) and 1 <= self.size <= width),
            "a matryoshka size stands twice": len(set(sizes)) < len(sizes),
            f"the teacher's vectors have {other} features, but these have {width}: choose dense={other} (--dense {other}), or leave "
            "out dense, and a layer is added": other is not None and other != width,
        }
        return [words for words, is_wrong in wrong.items() if is_wrong]

    def check(self, width: int) -> None:
        """Raises `SettingsError` that lists what is wrong."""
        found = self.problems(width)
        if found:
            raise SettingsError("; ".join(found))


def score_range(scores: Sequence[float] | Int[Array, "rows"]) -> tuple[float, float]:
    """The lowest and the highest of some scores. Raises `DataError` where all are equal."""
    low, high = float(np.min(scores)), float(np.max(scores))
    if not high > low:
        raise DataError(
            f"all scores are {low:g}, which says nothing of what is more alike: choose another column of scores, or, if the texts of each "
            'row belong together, objective="ranking" (--objective ranking)'
        )
    return low, high
