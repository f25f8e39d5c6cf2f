"""The next token from a language model's scores: the most probable one, or one drawn at random.

All is computed row by row, in float64; a row's token depends on its scores and its random number only.
"""

from dataclasses import dataclass
from math import isfinite

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bertworks.errors import SettingsError

_LIKELY = 1024
"""The most probable tokens that are looked at first: to put a whole vocabulary in order takes many times as long."""


@dataclass(frozen=True)
class GenerationSettings:
    """How a text goes on, and when it ends."""

    max_new_tokens: int = 50
    """Most tokens that are added to a prompt."""
    temperature: float = 1.0
    """What scores are divided by: below 1 the probable becomes more so; 0 always takes the most probable token."""
    top_k: int | None = None
    """Draw from the so many most probable tokens only (Fan et al. 2018, section 5.3)."""
    top_p: float | None = 0.95
    """Draw from the most probable tokens that together have at least this probability (Holtzman et al. 2020, section 3.1)."""
    seed: int = 0
    """Decides what is drawn; the same seed gives the same text."""
    stop: tuple[str, ...] = ()
    """A text ends before the first of these that it would hold."""

    def __post_init__(self) -> None:
        wrong = {
            "max_new_tokens is a whole number, 1 or more": not _whole(self.max_new_tokens) or self.max_new_tokens < 1,
            "temperature is a number, 0 or more": not _number(self.temperature) or self.temperature < 0,
            "top_k is a whole number, 1 or more": self.top_k is not None and (not _whole(self.top_k) or self.top_k < 1),
            "top_p lies above 0 and at most at 1": self.top_p is not None and (not _number(self.top_p) or not 0 < self.top_p <= 1),
            "seed is a whole number, from 0 to 2^63": not _whole(self.seed) or not 0 <= self.seed < 2**63,
            "stop strings are texts, not empty": not all(isinstance(text, str) and text for text in self.stop),
        }
        problems = [f"{words}, not {getattr(self, words.split()[0])!r:.60}" for words, is_wrong in wrong.items() if is_wrong]
        if problems:
            raise SettingsError("; ".join(problems))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def distribution(scores: Float[Tensor, "rows vocabulary"], settings: GenerationSettings) -> Float[Tensor, "rows vocabulary"]:
    """The probabilities that tokens are drawn with, 0 for those left out.

    The temperature does not change which are the `top_k` (tokens that equal the last of them stay too); `top_p` is of what
    is left: a token stays if those before it have less than `top_p`, so the one that reaches it does.
    """
    if settings.temperature == 0:
        return torch.nn.functional.one_hot(scores.argmax(1), scores.shape[1]).double()
    if settings.top_k is not None and settings.top_k < scores.shape[1]:
        least = scores.topk(settings.top_k, dim=1).values[:, -1:]
        scores = scores.masked_fill(scores < least, float("-inf"))
    distance = scores.double() - scores.amax(1, keepdim=True)  # so that no temperature is too small
    probabilities = (distance / settings.temperature).softmax(1)
    if settings.top_p is not None and settings.top_p < 1:
        probabilities = probabilities.where(_nucleus(probabilities, settings.top_p), 0.0)
    return probabilities / probabilities.sum(1, keepdim=True)


def _nucleus(probabilities: Float[Tensor, "rows vocabulary"], mass: float) -> Bool[Tensor, "rows vocabulary"]:
    """The most probable tokens of each row of which all but the last have less than `mass`; of equal ones the first."""
    ordered = probabilities.topk(min(_LIKELY, probabilities.shape[1]), dim=1).values
    if float(ordered.sum(1).min()) < mass:
        ordered = probabilities.sort(dim=1, descending=True).values
    count = (ordered.cumsum(1) - ordered < mass).sum(1, keepdim=True)
    least = ordered.gather(1, count - 1)
    above, equal = probabilities > least, probabilities == least
    return above | (equal & (equal.cumsum(1) <= count - above.sum(1, keepdim=True)))


def choose_tokens(
    scores: Float[Tensor, "rows vocabulary"], settings: GenerationSettings, draws: Float[Tensor, "rows"]
) -> Int[Tensor, "rows"]:
    """A token for each row: the one at which the cumulative distribution passes the row's number from [0, 1).

    Raises `SettingsError` where a score is no finite number.
    """
    if not bool(scores.isfinite().all()):
        raise SettingsError("the model's scores are not finite numbers: compute in another precision (float32)")
    if settings.temperature == 0:
        return scores.argmax(1)
    cumulative = distribution(scores, settings).cumsum(1)
    return (cumulative > draws[:, None] * cumulative[:, -1:]).int().argmax(1)
