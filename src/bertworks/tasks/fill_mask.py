"""Filling masks: what stands where a text has [MASK], by a model that was pretrained to say so (Devlin et al. 2019).

A text longer than the model reads is read in overlapping windows; each mask is filled in the window that shows most text on
its poorer side. The probability of a whole text is its pseudo-log-likelihood (Salazar et al. 2020): every token is hidden
in turn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError, SettingsError
from bertworks.evaluation.language_model import MaskedLanguageModelMetrics
from bertworks.tasks.masked_lm import MASKED_LM
from bertworks.tasks.masking import IGNORED
from bertworks.tasks.stored_settings import from_stored
from bertworks.tasks.task import SMOKE_TEXTS, Scores
from bertworks.tokenization import Tokenizer
from bertworks.tokenization.encoding import best_places


@dataclass(frozen=True)
class Masks:
    """The masks of some texts, in the order of the texts and of their places."""

    batch: PackedBatch
    """The windows in which they are filled; `token_targets["masked_lm"]` marks each mask once."""
    text: Int[Array, "masks"]
    """The number of the text of each mask."""
    span: Int[Array, "masks 2"]
    """The characters of the text that each mask takes."""


@dataclass(frozen=True)
class FillMask:
    """The task of a model with a masked-LM head, as it was pretrained."""

    max_tokens: int = 512
    """Longest sequence, special tokens included."""
    vocabulary: int = 0
    """The ids that the head scores."""

    name = MASKED_LM

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        return {MASKED_LM: ("masked_lm", self.vocabulary)}

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        return {MASKED_LM: ("cross_entropy", {})}

    def metrics(self) -> MaskedLanguageModelMetrics:
        return MaskedLanguageModelMetrics()

    def update_metrics(self, metrics: MaskedLanguageModelMetrics, batch: PackedBatch, scores: Scores) -> None:
        metrics.update(np.minimum(scores[MASKED_LM][:, 0], 0), scores[MASKED_LM][:, 1] > 0.5)

    # ---- from text to packed sequences

    def masks(self, texts: Sequence[str], tokenizer: Tokenizer) -> Masks:
        """The masks of texts, and the windows in which to fill them.

        Raises `DataError` for a text without a mask, `SettingsError` where the tokenizer has none.
        """
        mask = _mask_of(tokenizer)
        ids: list[Array] = []
        segments: list[Array] = []
        targets: list[Array] = []
        owners: list[int] = []
        spans: list[Array] = []
        for row, windows in enumerate(tokenizer.encode_batch(texts, max_tokens=self.max_tokens)):
            places = [(number, at) for number, at in best_places(windows) if windows[number].ids[at] == mask]
            if not places:
                name = tokenizer.id_to_token(mask)
                raise DataError(f"text {row} has no {name}: write {name} where something is to be filled in: {texts[row]!r:.60}")
            for number in dict.fromkeys(number for number, _ in places):
                window, here = windows[number], [at for of_window, at in places if of_window == number]
                marked = np.full(len(window), IGNORED, dtype=np.int64)
                marked[here] = mask
                ids.append(window.ids)
                segments.append(window.segment_ids)
                targets.append(marked)
                owners += [row] * len(here)
                spans += list(window.offsets[here])
        batch = PackedBatch.from_sequences(ids, segments, token_targets={MASKED_LM: _joined(targets)})
        return Masks(batch, np.array(owners, dtype=np.int64), np.array(spans, dtype=np.int64).reshape(-1, 2))

    def hidden_in_turn(self, texts: Sequence[str], tokenizer: Tokenizer) -> PackedBatch:
        """For each token of each text one sequence in which it is hidden, with its id as target; group `i` is text `i`.

        Raises `DataError` for a text of no token.
        """
        mask = _mask_of(tokenizer)
        ids: list[Array] = []
        segments: list[Array] = []
        targets: list[Array] = []
        groups: list[int] = []
        for row, windows in enumerate(tokenizer.encode_batch(texts, max_tokens=self.max_tokens, offsets=False)):
            places = best_places(windows)
            if not places:
                raise DataError(f"text {row} has no token: there is nothing to judge")
            for number, place in places:
                window = windows[number]
                hidden, wanted = window.ids.copy(), np.full(len(window), IGNORED, dtype=np.int64)
                hidden[place], wanted[place] = mask, window.ids[place]
                ids.append(hidden)
                segments.append(window.segment_ids)
                targets.append(wanted)
                groups.append(row)
        return PackedBatch.from_sequences(ids, segments, groups=groups, token_targets={MASKED_LM: _joined(targets)})

    # ---- settings and folders

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        task = from_stored(cls, settings, "fill-mask")
        if task.max_tokens < 1 or task.vocabulary < 1:
            raise SettingsError("fill-mask: max_tokens and vocabulary must be above 0")
        return task

    def config_changes(self) -> dict[str, Any]:
        return {}

    def check_room(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_batch([], max_tokens=self.max_tokens)

    def smoke_inputs(self) -> list[Any]:
        return list(SMOKE_TEXTS)

    def smoke_outputs(self, inputs: list[Any], tokenizer: Tokenizer, score: Callable[[PackedBatch], Scores]) -> list[Any]:
        """The mean log-probability of each text's tokens, each hidden in turn."""
        wrong = next((value for value in inputs if not isinstance(value, str)), None)
        if wrong is not None:
            raise DataError(f"a case's input is {wrong!r:.60}, not a text")
        batch = self.hidden_in_turn(inputs, tokenizer)
        return [float(values.mean()) for values in per_group(score(batch)[MASKED_LM][:, 0], batch.groups)]


def per_group(values: Float[Array, "sequences"], groups: Int[Array, "sequences"]) -> list[Float[Array, "of_group"]]:
    """The values of each group; groups stand together, in order."""
    return np.split(values, np.flatnonzero(np.diff(groups)) + 1) if len(values) else []


def _joined(targets: list[Array]) -> Int[Array, "tokens"]:
    return np.concatenate(targets) if targets else np.zeros(0, dtype=np.int64)


def _mask_of(tokenizer: Tokenizer) -> int:
    if tokenizer.mask_id is None:
        raise SettingsError("filling masks needs a tokenizer with a mask token, such as [MASK]; this one has none")
    return tokenizer.mask_id
