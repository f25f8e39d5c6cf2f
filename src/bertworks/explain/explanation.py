"""`Explanation`: everything that can be said about one answer of a model, computed when it is asked for."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array, PackedBatch
from bertworks.errors import SettingsError
from bertworks.explain.attention import AttentionMaps, rollout
from bertworks.explain.attribution import TOLERANCE, integrated_gradients
from bertworks.explain.deletion import DeletionCurve, deletion_curve
from bertworks.explain.question import BARE, ORIGINAL_TOKEN, Answer, Attributions, Baseline, Kind, NoAnswer, Question
from bertworks.explain.reading import Reading, Word
from bertworks.inference import score
from bertworks.nn.machine import MachineChoice
from bertworks.nn.model import Model

_VARIANTS_AT_ONCE = 32
"""Shortened texts that are made at a time: the memory of long documents stays small."""


class Explanation:
    """One text, or several that belong together, and why the model answers as it does.

    Made by the estimators' `explain`. Attention is computed for one window of a long document at a time (`window`, numbered
    from 0, over all texts where a model reads them apart, or one with each of the others); attributions and the deletion curve
    are those of the whole document. What is computed once is kept.
    """

    def __init__(
        self,
        model: Model,
        machine: MachineChoice,
        reading: Reading,
        *,
        answer: Answer | None = None,
        no_answer: NoAnswer = BARE,
        question: Question | None = None,
        baseline: Baseline | None = None,
        window: int | None = None,
        tolerance: float = TOLERANCE,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """`progress` is told what is being computed."""
        self._model, self._machine, self._reading = model, machine, reading
        self._question, self._baseline = question, baseline or Baseline("zero vectors", None)
        self._tolerance = tolerance
        self._tell = progress or (lambda what: None)
        self._maps: dict[int, AttentionMaps] = {}
        self.answer = answer
        """What the model says; None where there is nothing to attribute."""
        self.no_answer = no_answer
        """Why there is none."""
        self.shown = tuple(reading.firsts) if window is None else (self._checked_window(window),)
        """The windows whose attention pages and plain values have: the one that was chosen, or the first of each text that is read
        by itself."""
        self.window = self.shown[0]
        """The window whose attention is given where none is named."""

    # ---- what was read

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, the two of a pair, or one and those that it is read with."""
        return self._reading.texts

    @property
    def names(self) -> tuple[str, ...]:
        """What the texts are called: first text, second text; question, choice A …"""
        return self._reading.names

    @property
    def words(self) -> tuple[Word, ...]:
        """The words that the model reads, with their places in the original texts."""
        return self._reading.words

    @property
    def windows(self) -> int:
        """In how many windows the text is read."""
        return len(self._reading.windows)

    def text_of(self, window: int) -> int | None:
        """The number of the text that a window is of, where two are read apart, and of the one that it reads with the first, where
        there are several; None otherwise."""
        return self.texts_of(window)[-1] if len(self._reading.firsts) > 1 else None

    def texts_of(self, window: int) -> tuple[int, ...]:
        """The numbers of the texts that a window reads of."""
        return self._reading.texts_of_window[self._checked_window(window)]

    @property
    def truncated_tokens(self) -> int:
        """Tokens of the texts that are not read at all."""
        return self._reading.truncated_tokens

    @property
    def tokens(self) -> list[str]:
        """The tokens of the window that is shown, special ones included."""
        return self.tokens_of(self.window)

    def tokens_of(self, window: int) -> list[str]:
        """The tokens of a window, as the vocabulary writes them."""
        return self._reading.windows[self._checked_window(window)].tokens

    def parts_of(self, window: int) -> Int[Array, "length"]:
        """For each token of a window: 0 in its first text, 1 in its second, -1 for special tokens. A window of one text of two
        that are read apart has no second."""
        return self._reading.windows[self._checked_window(window)].sequence_ids

    @property
    def runs(self) -> list[list[tuple[str, int | None]]]:
        """Each text from its first character to its last, in runs: words with their numbers, and what stands between."""
        return [self._reading.runs(part) for part in range(len(self.texts))]

    @property
    def classified_by_last(self) -> bool:
        """Whether the head reads the last token of the sequence rather than the first."""
        heads = self._model.head_items()
        return bool(heads) and all(head.spec.reads == "last" for _, head in heads)

    @property
    def target(self) -> str | None:
        """The label, or whatever else is explained; None where there is no answer."""
        return None if self._question is None else self._question.name

    # ---- attention

    @property
    def layers(self) -> int:
        return len(self._model.spec.layers)

    def heads(self, layer: int | None = None, *, window: int | None = None) -> Float[Array, "heads length length"]:
        """The attention of every head of a layer (the last by default; layers count from 0): how much each token (row)
        reads of each other (column).

        Raises `SettingsError` for a layer or window that does not exist, `BertworksError` where the model's own
        computation is not reproduced.
        """
        self.require_map(layer)
        return self._maps_of(window).of(self.layers - 1 if layer is None else layer)

    def attention(self, layer: int | None = None, head: int | None = None, *, window: int | None = None) -> Float[Array, "length length"]:
        """The attention of one head, or the mean of a layer's heads where none is named; rows sum to 1. Errors as in `heads`."""
        self.require_map(layer, head)
        heads = self.heads(layer, window=window)
        return np.asarray(heads.mean(axis=0) if head is None else heads[head])

    def rollout(self, *, window: int | None = None) -> Float[Array, "length length"]:
        """Attention followed through all layers (`attention.rollout`): how much of each token at the input (column) is in
        each token at the output (row)."""
        maps = self._maps_of(window)
        return rollout(maps.of(layer) for layer in range(maps.layers))

    def cls_attention(self, layer: int | None = None, head: int | None = None, *, window: int | None = None) -> list[tuple[str, float]]:
        """What the token that is classified attends to: a value a word (the sum over its pieces) or special token, in
        order. They sum to 1."""
        return self.merged(self.attention(layer, head, window=window), window=window)

    def merged(self, square: Float[Array, "length length"], *, window: int | None = None) -> list[tuple[str, float]]:
        """The row of the token that is classified (the first, or the last where the head reads that), merged to words."""
        names, entry_of_token = self._reading.entries(self.window if window is None else self._checked_window(window))
        values = np.bincount(entry_of_token, weights=square[-1 if self.classified_by_last else 0])
        return list(zip(names, values.tolist(), strict=True))

    @property
    def largest_deviation(self) -> float:
        """Of all layers that were looked at: the largest difference between probabilities × values and what the model
        itself computed, relative to the largest value. 0 where none was looked at."""
        return max((deviation for maps in self._maps.values() for deviation in maps.deviations.values()), default=0.0)

    # ---- attributions

    @cached_property
    def attributions(self) -> Attributions:
        """What each word adds to the score, over the whole document: the merged score is a mean of the windows', weighted
        by their tokens, and a word's shares are summed over the windows that it stands in.

        `Attributions.warning` says so where they do not add up. Raises `SettingsError` where there is no answer.
        """
        question = self._asked()
        tokens = integrated_gradients(
            self._model,
            self._reading.batch,
            question.target,
            baseline=self._baseline.token,
            kept=self._reading.special,
            device=self._machine.torch_device,
            token_budget=self._machine.token_budget,
            tolerance=self._tolerance,
            progress=lambda points: self._tell(f"integrated gradients: {points} points"),
        )
        by_word = self._reading.by_word(tokens.values)
        return Attributions(by_word, tokens, question.name, question.score, self._baseline.name, self._tolerance)

    @cached_property
    def faithfulness(self) -> DeletionCurve:
        """Whether removing words in the order of their attributions changes the answer more than chance does.

        Raises `SettingsError` where there is no answer, `DataError` for a text without words.
        """
        question = self._asked()
        return deletion_curve(self.attributions.words, self._without, quantity=question.quantity)

    def _without(self, removed: Sequence[Int[Array, "removed"]]) -> Float[Array, "variants"]:
        """The quantity for the text without some of its words."""
        question, device = self._asked(), self._machine.torch_device
        model = self._model.to(device).compute_in(self._machine.dtype)
        out = []
        for start in range(0, len(removed), _VARIANTS_AT_ONCE):
            self._tell(f"deletion curve: {start} of {len(removed)} shortened texts")
            batch = self._variants(removed[start : start + _VARIANTS_AT_ONCE])
            out.append(question.confidence(score(model, batch, device=device, token_budget=self._machine.token_budget), batch))
        return np.concatenate(out)

    def _variants(self, removed: Sequence[Int[Array, "removed"]]) -> PackedBatch:
        """The document without some of its words, a group each; windows stay where they were."""
        batch = self._reading.batch
        ids, segments, tokens = [], [], []
        for words in removed:
            kept = ~np.isin(self._reading.word_of_token, words)
            for start, stop in pairwise(batch.offsets.tolist()):
                place = np.flatnonzero(kept[start:stop])
                place = start + (place if len(place) else np.zeros(1, dtype=np.int64))  # no model reads nothing at all
                ids.append(batch.input_ids[place])
                segments.append(batch.segment_ids[place])
                tokens.append(place)
        return PackedBatch.from_sequences(
            ids,
            segments,
            groups=np.repeat(np.arange(len(removed)), batch.sequences),
            targets={name: np.concatenate([values] * len(removed)) for name, values in batch.targets.items()},
            token_targets={ORIGINAL_TOKEN: np.concatenate(tokens)},
        )

    # ---- out

    def to_dict(self, kind: Kind = "all", *, layer: int | None = None, head: int | None = None) -> dict[str, Any]:
        """Plain values, as JSON files and `--json` have them. Attention maps are in it where `kind` names them."""
        from bertworks.explain.plain import to_dict

        return to_dict(self, kind, layer, head)

    def save(self, path: str | Path, kind: Kind | None = None, *, layer: int | None = None, head: int | None = None) -> Path:
        """Writes a page (.html), a picture (.png, .svg), plain values (.json) or arrays (.npz); the suffix decides.

        `kind` is all that there is by default; in a picture the attributions, or attention where a layer or head is named
        or there is no answer to attribute. `layer` and `head` choose the map: the last layer and all heads where they are
        not given. Attention is that of `window`. Returns the path.

        Raises `SettingsError` for another suffix, or a kind that the file cannot show.
        """
        from bertworks.explain.saving import save

        return save(self, Path(path), kind, layer, head)

    def show(self) -> Path | None:
        """Shows the page: in a notebook in place, elsewhere in the browser where there is one. Returns where the page was
        written, None in a notebook."""
        from bertworks.explain.saving import show

        return show(self)

    def _repr_html_(self) -> str:
        from bertworks.explain.page import framed

        return framed(self)

    def __repr__(self) -> str:
        told = "" if self.answer is None else f", predicted {self.answer.prediction!r}"
        return f"Explanation({len(self.words)} words, {self.windows} window{'s' * (self.windows > 1)}{told})"

    # ---- checks

    def require_map(self, layer: int | None = None, head: int | None = None) -> None:
        """Raises `SettingsError` for a layer or head that does not exist."""
        if layer is not None and layer not in range(self.layers):
            raise SettingsError(f"layer {layer} does not exist: the model has layers 0 to {self.layers - 1}")
        heads = self._model.spec.layers[-1 if layer is None else layer].attention.heads
        if head is not None and head not in range(heads):
            raise SettingsError(f"head {head} does not exist: the layer has heads 0 to {heads - 1}")

    def _asked(self) -> Question:
        if self._question is None:
            raise SettingsError(f"{self.no_answer.reason} to attribute: {self.no_answer.remedy}, or look at its attention")
        return self._question

    def _checked_window(self, window: int) -> int:
        if window not in range(self.windows):
            last, are = self.windows - 1, "the texts are" if len(self._reading.firsts) > 1 else "the text is"
            raise SettingsError(f"window {window} does not exist: {are} read in {self.windows}" + (f", 0 to {last}" if last else ""))
        return window

    def _maps_of(self, window: int | None) -> AttentionMaps:
        number = self.window if window is None else self._checked_window(window)
        if number not in self._maps:
            self._tell("attention")
            batch, machine = self._reading.batch.take([number]), self._machine
            self._maps[number] = AttentionMaps(self._model, batch, device=machine.torch_device, dtype=machine.dtype)
        return self._maps[number]
