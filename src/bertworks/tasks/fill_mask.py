"""Filling masks: what stands where a text has [MASK], by a model that was pretrained to say so (Devlin et al. 2019).

A text longer than the model reads is read in overlapping windows; each mask is filled in the window that shows most text on
its poorer side. The probability of a whole text is its pseudo-log-likelihood (Salazar et al. 2020): every token is hidden
in turn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from bertworks.tokenization import Encoding, Tokenizer
from bertworks.tokenization.encoding import best_places
from bertworks.tokenization.tokenizer import row_numbers

TOKENS_AT_ONCE = 1 << 20
"""Tokens of the sequences in which a text's tokens are hidden, made at a time: some dozen megabytes."""


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

    def masks(self, texts: Sequence[str], tokenizer: Tokenizer, *, first_row: int | Sequence[int] = 0) -> Masks:
        """The masks of texts, and the windows in which to fill them. `first_row` is the number of the first text in messages, or the
        numbers of all.

        Raises `DataError` for a text without a mask, `SettingsError` where the tokenizer has none.
        """
        mask = _mask_of(tokenizer)
        ids: list[Array] = []
        segments: list[Array] = []
        targets: list[Array] = []
        owners: list[int] = []
        spans: list[Array] = []
        numbers = row_numbers(first_row, len(texts))
        for row, windows in enumerate(tokenizer.encode_batch(texts, max_tokens=self.max_tokens, first_row=numbers)):
            places = [(number, at) for number, at in best_places(windows) if windows[number].ids[at] == mask]
            if not places:
                name = tokenizer.id_to_token(mask)
                raise DataError(f"text {numbers[row]} has no {name}: write {name} where something is to be filled in: {texts[row]!r:.60}")
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

    def hidden_in_turn(self, texts: Sequence[str], tokenizer: Tokenizer, *, first_row: int | Sequence[int] = 0) -> Iterator[PackedBatch]:
        """For each token of each text one sequence in which it is hidden, with its id as target; group `i` is text `i`.

        They come in batches of about `TOKENS_AT_ONCE` tokens, so that memory does not grow with the square of the texts. `first_row`
        is as in `masks`. Raises `DataError` for a text of no token, before the first batch.
        """
        mask = _mask_of(tokenizer)
        places: list[tuple[int, Encoding, int]] = []
        numbers = row_numbers(first_row, len(texts))
        for row, windows in enumerate(tokenizer.encode_batch(texts, max_tokens=self.max_tokens, offsets=False, first_row=numbers)):
            own = best_places(windows)
            if not own:
                raise DataError(f"text {numbers[row]} has no token: there is nothing to judge")
            places += [(row, windows[number], place) for number, place in own]
        ends = np.cumsum([len(window) for _, window, _ in places], dtype=np.int64)
        for some in np.split(np.arange(len(places)), np.flatnonzero(np.diff(ends // TOKENS_AT_ONCE)) + 1):
            yield _hidden([places[i] for i in some], mask)

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
        judged = [(score(batch)[MASKED_LM][:, 0], batch.groups) for batch in self.hidden_in_turn(inputs, tokenizer)]
        return [float(values.mean()) for values in per_group(*map(np.concatenate, zip(*judged, strict=True)))]


def per_group(values: Float[Array, "sequences"], groups: Int[Array, "sequences"]) -> list[Float[Array, "of_group"]]:
    """The values of each group; groups stand together, in order."""
    return np.split(values, np.flatnonzero(np.diff(groups)) + 1) if len(values) else []


def _hidden(places: Sequence[tuple[int, Encoding, int]], mask: int) -> PackedBatch:
    """A sequence for each place (number of the text, window, place in it) in which the token there is hidden."""
    ids: list[Array] = []
    targets: list[Array] = []
    for _, window, place in places:
        hidden, wanted = window.ids.copy(), np.full(len(window), IGNORED, dtype=np.int64)
        hidden[place], wanted[place] = mask, window.ids[place]
        ids.append(hidden)
        targets.append(wanted)
    groups = [row for row, _, _ in places]
    segments = [window.segment_ids for _, window, _ in places]
    return PackedBatch.from_sequences(ids, segments, groups=groups, token_targets={MASKED_LM: _joined(targets)})


def _joined(targets: list[Array]) -> Int[Array, "tokens"]:
    return np.concatenate(targets) if targets else np.zeros(0, dtype=np.int64)


def _mask_of(tokenizer: Tokenizer) -> int:
    if tokenizer.mask_id is None:
        raise SettingsError("filling masks needs a tokenizer with a mask token, such as [MASK]; this one has none")
    return tokenizer.mask_id
