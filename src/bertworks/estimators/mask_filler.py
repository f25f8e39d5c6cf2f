"""`MaskFiller`: what a pretrained model puts where a text has [MASK], and how probable it finds a text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array
from bertworks.checkpoints.hub import resolve
from bertworks.errors import CheckpointError, SettingsError
from bertworks.estimators import model_folder
from bertworks.estimators.rows import text_rows
from bertworks.estimators.task_estimator import model_path
from bertworks.inference import score
from bertworks.inference.top_tokens import top_tokens
from bertworks.nn.machine import Precision, choose
from bertworks.tasks.fill_mask import FillMask, Masks, per_group
from bertworks.tasks.masked_lm import MASKED_LM


@dataclass(frozen=True)
class Candidate:
    """What may stand in the place of a mask."""

    token: str
    """As it stands in the text: without the marks by which vocabularies tell a word's beginning from its end. A given candidate of
    several tokens stands as it was given."""
    score: float
    """Its probability; of several tokens the geometric mean of theirs, so that candidates of unequal length compare."""
    text: str
    """The text with this mask filled by it; other masks stay."""


@dataclass(frozen=True)
class Filled:
    """A text and its masks."""

    text: str
    """The text as it was given."""
    masks: list[list[Candidate]]
    """For each mask, in the order of the text, the most probable candidates, each mask by itself."""
    filled: str
    """The text with all masks filled one after the other, the one that is most certain first, each with a view to those before."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {"text": self.text, "filled": self.filled, "masks": [[vars(candidate) for candidate in mask] for mask in self.masks]}


@dataclass(frozen=True)
class TextLikelihood:
    """How probable a model finds a text."""

    text: str
    tokens: list[str]
    log_probabilities: list[float]
    """Of each token, the natural logarithm of its probability given all others (Salazar et al. 2020, equation 1)."""

    @property
    def pseudo_log_likelihood(self) -> float:
        """The sum over the tokens."""
        return float(np.sum(self.log_probabilities))

    @property
    def pseudo_perplexity(self) -> float:
        """The exponential of the mean loss (Salazar et al. 2020, equation 3)."""
        return float(np.exp(-np.mean(self.log_probabilities)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {**vars(self), "pseudo_log_likelihood": self.pseudo_log_likelihood, "pseudo_perplexity": self.pseudo_perplexity}


@dataclass(frozen=True)
class _Choice:
    """What may be put in the place of a mask."""

    ids: tuple[int, ...]
    """Its tokens."""
    word: str = ""
    """How it is written, where it has several."""


class MaskFiller:
    """A pretrained model with a masked-LM head.

    >>> from bertworks import MaskFiller
    >>> MaskFiller("runs/pretraining-1").fill("The [MASK] was cold.").filled  # doctest: +SKIP
    'The water was cold.'
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
        verify: bool = False,
    ) -> None:
        """Loads a model folder, a run folder's finished model, a hub name, or the default encoder; `verify` computes the
        folder's smoke cases again. Raises `CheckpointError` where that fails, or the model has no masked-LM head."""
        given = resolve(model, revision=revision)
        loaded, tokenizer, task, about = model_folder.load(model_path(given), verify=verify)
        if not isinstance(task, FillMask):
            raise CheckpointError(f"{given} has no masked-LM head to fill masks with: it is a model for {task.name.replace('_', ' ')}")
        if tokenizer.mask_id is None:
            raise CheckpointError(f"{given}: the tokenizer has no mask token")
        self._loaded, self.tokenizer, self.task_, self.about_ = loaded, tokenizer, task, about
        self.machine = choose(device, precision, threads=threads, training=False)
        self.mask_token = tokenizer.id_to_token(tokenizer.mask_id) or ""
        plain = (i for i in range(len(tokenizer)) if i not in tokenizer.special_ids and tokenizer.decode([i]).strip().isalnum())
        self._reference = next(plain, None)
        """A word, by which it shows whether a token goes on the word before it; None where the vocabulary has none."""

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> Self:
        """The same as the constructor, by the name that all estimators have for it."""
        return cls(folder, **options)

    def fill(
        self,
        texts: str | Iterable[str],
        *,
        top_k: int = 5,
        candidates: Sequence[str] | None = None,
        first_row: int | Sequence[int] = 0,
    ) -> Any:
        """The `top_k` most probable candidates for each mask: a `Filled` for a text, a list of them for several.

        `candidates` are the words to choose from; their scores stay shares of the whole vocabulary. A candidate of k tokens is
        read at k masks in the place of one, and its score is the exponential of the mean of its tokens' log-probabilities there:
        all are hidden together, each is judged by itself, and a candidate of one token has the probability that it has anyway. A sum
        would favour the shorter always (Jiang et al. 2020, "X-FACTR", predict the masks of an answer independently and take the mean
        as well). Each number of tokens among the candidates costs a pass for each mask. `first_row` is the number of the first text in
        messages, or the numbers of all.

        Raises `DataError` for a text without a mask, `SettingsError` for a candidate that the vocabulary cannot spell.
        """
        if top_k < 1:
            raise SettingsError(f"top_k is a number of candidates, at least 1, not {top_k}")
        given = [texts] if isinstance(texts, str) else list(texts)
        rows = text_rows(given)
        choices = None if candidates is None else self._choices(candidates)
        masks = self.task_.masks(rows, self.tokenizer, first_row=first_row)
        found: list[list[list[Candidate]]] = [[] for _ in rows]
        for row, span, best in zip(masks.text.tolist(), masks.span.tolist(), self._best(rows, masks, top_k, choices), strict=True):
            found[row].append([self._candidate(rows[row], span, choice, logarithm) for choice, logarithm in best])
        out = [Filled(row, of_row, text) for row, of_row, text in zip(rows, found, self._fill_all(rows, masks, choices), strict=True)]
        return out[0] if isinstance(texts, str) else out

    def likelihood(self, texts: str | Iterable[str], *, first_row: int | Sequence[int] = 0) -> Any:
        """How probable the model finds a text, token by token: a `TextLikelihood`, a list of them for several texts.

        Every token costs a pass over its text (or, of a long text, over the window that shows most around it). `first_row` is as in
        `fill`.
        """
        given = [texts] if isinstance(texts, str) else list(texts)
        rows = text_rows(given)
        if not rows:
            return []
        options: dict[str, Any] = {"device": self.machine.torch_device, "token_budget": self.machine.token_budget}
        judged: list[tuple[Array, Array, Array]] = []
        for batch in self.task_.hidden_in_turn(rows, self.tokenizer, first_row=first_row):
            targets = batch.token_targets[MASKED_LM]
            judged.append((score(self._model(), batch, **options)[MASKED_LM][:, 0], targets[targets >= 0], batch.groups))
        values, wanted, groups = (np.concatenate(parts) for parts in zip(*judged, strict=True))
        out = [
            TextLikelihood(row, [self.tokenizer.id_to_token(int(i)) or "" for i in ids], np.minimum(logarithms, 0).tolist())
            for row, ids, logarithms in zip(rows, per_group(wanted, groups), per_group(values, groups), strict=True)
        ]
        return out[0] if isinstance(texts, str) else out

    # ---- inside

    @property
    def _answers(self) -> Array:
        """The tokens that may stand in the place of a mask: all but a mask. Rows of the head beyond the vocabulary are padding."""
        return np.setdiff1d(np.arange(self.tokenizer.vocabulary_size), [self.tokenizer.mask_id])

    def _model(self) -> Any:
        return self._loaded.model.to(self.machine.torch_device).compute_in(self.machine.dtype)

    def _top(self, masks: Masks, count: int, allowed: Array | None) -> tuple[Array, Array]:
        known = self._answers if allowed is None else allowed
        options: dict[str, Any] = {"device": self.machine.torch_device, "token_budget": self.machine.token_budget}
        return top_tokens(self._model(), MASKED_LM, masks.batch, count, allowed=known, **options)

    def _best(self, rows: list[str], masks: Masks, count: int, choices: Sequence[_Choice] | None) -> list[list[tuple[_Choice, float]]]:
        """For each mask the `count` best choices, the best first, with the mean log-probability of their tokens."""
        single = None if choices is None else {choice.ids[0]: choice for choice in choices if len(choice.ids) == 1}
        out: list[list[tuple[_Choice, float]]] = [[] for _ in masks.text]
        if single is None or single:
            ids, logarithms = self._top(masks, count, None if single is None else np.array(list(single), dtype=np.int64))
            for best, of_mask, values in zip(out, ids.tolist(), logarithms.tolist(), strict=True):
                best += [(_Choice((i,)) if single is None else single[i], value) for i, value in zip(of_mask, values, strict=True)]
        for length in sorted({len(choice.ids) for choice in choices or ()} - {1}):
            some = [choice for choice in choices or () if len(choice.ids) == length]
            for best, values in zip(out, self._of_several(rows, masks, some).tolist(), strict=True):
                best += zip(some, values, strict=True)
        return [sorted(best, key=lambda item: -item[1])[:count] for best in out]

    def _of_several(self, rows: list[str], masks: Masks, choices: Sequence[_Choice]) -> Float[Array, "masks choices"]:
        """The mean log-probability of the tokens of choices of one length, each mask replaced by so many."""
        length, places = len(choices[0].ids), np.arange(len(masks.text))
        own = zip(masks.text.tolist(), masks.span.tolist(), strict=True)
        longer = self.task_.masks(
            [rows[row][:start] + self.mask_token * length + rows[row][end:] for row, (start, end) in own], self.tokenizer
        )
        before = places - np.searchsorted(masks.text, masks.text)  # masks of the same text that come first
        at = (np.searchsorted(longer.text, places) + before)[:, None] + np.arange(length)  # [masks, length]
        wanted = np.array([choice.ids for choice in choices])  # [choices, length]
        allowed = np.unique(wanted)
        ids, logarithms = self._top(longer, len(allowed), allowed)
        by_id = np.take_along_axis(logarithms, ids.argsort(axis=1), axis=1)  # [longer masks, allowed]
        means: Array = by_id[at[:, None, :], np.searchsorted(allowed, wanted)].mean(axis=2)
        return means

    def _fill_all(self, rows: list[str], masks: Masks, choices: Sequence[_Choice] | None) -> list[str]:
        """Every text with all its masks filled, in as many passes as the text with most masks has."""
        texts = list(rows)
        left_in_row = np.bincount(masks.text, minlength=len(rows))
        while open_rows := np.flatnonzero(left_in_row).tolist():
            some = (
                masks if len(open_rows) == len(rows) and texts == rows else self.task_.masks([texts[i] for i in open_rows], self.tokenizer)
            )
            best = [of_mask[0] for of_mask in self._best([texts[i] for i in open_rows], some, 1, choices)]
            for place, row in enumerate(open_rows):
                own = np.flatnonzero(some.text == place).tolist()
                surest = max(own, key=lambda number: best[number][1])
                texts[row] = self._spliced(texts[row], some.span[surest].tolist(), best[surest][0])[1]
                left_in_row[row] -= 1
        return texts

    def _candidate(self, text: str, span: list[int], choice: _Choice, logarithm: float) -> Candidate:
        spelled, whole = self._spliced(text, span, choice)
        return Candidate(spelled, float(np.exp(logarithm)), whole)

    def _spliced(self, text: str, span: list[int], choice: _Choice) -> tuple[str, str]:
        """A choice as it stands in a text, and the text with it in the place of some characters: a token that goes on a word
        takes the space before it away."""
        if len(choice.ids) > 1:
            return choice.word, text[: span[0]] + choice.word + text[span[1] :]
        (token,) = choice.ids
        spelled = self.tokenizer.decode([token], skip_special_tokens=False).strip()
        name = self.tokenizer.id_to_token(token) or spelled
        spelled = spelled.removeprefix("##") if name.startswith("##") else spelled
        before = text[: span[0]]
        goes_on = spelled[:1].isalnum() and self._goes_on(token, spelled)
        return spelled, (before.rstrip() if goes_on else before) + spelled + text[span[1] :]

    def _goes_on(self, token: int, spelled: str) -> bool:
        """Whether a token stands without a space behind a word."""
        word = self._reference
        if word is None:
            return False
        alone, together = (self.tokenizer.decode(ids, skip_special_tokens=False).strip() for ids in ([word], [word, token]))
        return together.startswith(alone + spelled)

    def _choices(self, candidates: Sequence[str]) -> list[_Choice]:
        """Words with the ids that spell them, each spelling once."""
        if isinstance(candidates, str) or not candidates:
            raise SettingsError("candidates are a list of words to choose from, at least one")
        out: dict[tuple[int, ...], _Choice] = {}
        for word in candidates:
            # byte-level vocabularies spell a word within a text with the space before it
            spellings = [self.tokenizer.encode(form) for form in (f" {word}", word)]
            own = [tuple(encoding.ids[encoding.sequence_ids == 0].tolist()) for encoding in spellings]
            ids = next((ids for ids in own if len(ids) == 1), own[0])
            if set(ids) & set(self.tokenizer.special_ids) - {self.tokenizer.unknown_id}:
                raise SettingsError(f"the candidate '{word}' has a special token in it, which is no word: leave it out")
            if not ids or self.tokenizer.unknown_id in ids:
                pieces = " ".join(self.tokenizer.id_to_token(i) or "?" for i in ids) or "no token"
                raise SettingsError(f"the candidate '{word}' cannot be told by the vocabulary, which reads it as {pieces}: leave it out")
            out.setdefault(ids, _Choice(ids, word.strip()))
        return list(out.values())
