"""What is asked of a model, what it answers, and what the words of its text add to that."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.explain.attribution import TokenAttributions
from bertworks.explain.targets import AnyTarget
from bertworks.tasks import Scores

Kind = Literal["all", "attribution", "faithfulness", "attention", "cls", "rollout"]
"""What is shown or saved: the words' attributions; the curve that tests them; attention heat maps; what the token that is
classified attends to; attention followed through all layers; or all of it."""

ORIGINAL_TOKEN = "original_token"
"""What the number of a token in the whole document is called among the token targets of its shortened variants."""


@dataclass(frozen=True)
class Baseline:
    """What stands in for every token of the text where integrated gradients begin."""

    name: str
    """As it is told: `[PAD]`, or `zero vectors`."""
    token: int | None
    """Its id; None for a vector of zeros."""


@dataclass(frozen=True)
class Question:
    """Which score is explained, and what it means."""

    name: str
    """The label, as it is told."""
    score: str
    """What the score is: `the logit of positive`."""
    quantity: str
    """What the deletion curve follows: `P(positive)`."""
    target: AnyTarget
    confidence: Callable[[Scores, PackedBatch], Float[Array, "groups"]]
    """The quantity of each group of a batch, given the heads' scores. Of each token the batch says which one of the whole document
    it is (`ORIGINAL_TOKEN`)."""


@dataclass(frozen=True)
class Answer:
    """What the model says of the text."""

    prediction: Any
    probabilities: dict[str, float]
    """Of each label; empty where the model predicts a number."""
    name: str = "prediction"
    """What that is called which the model says."""


@dataclass(frozen=True)
class NoAnswer:
    """Why there is nothing to attribute, where attention alone is shown."""

    title: str
    caption: str
    """What stands above the title."""
    reason: str
    """`a bare encoder gives no answer`."""
    remedy: str


BARE = NoAnswer("A bare encoder", "no head, so no prediction", "a bare encoder gives no answer", "explain a fine-tuned model")


@dataclass(frozen=True)
class Attributions:
    """What each word adds to a score (`attribution.integrated_gradients`, summed over a word's pieces)."""

    words: Float[Array, "words"]
    """In the order of `Explanation.words`; above 0 where a word speaks for the target."""
    tokens: TokenAttributions
    """The same of each token, with the scores and the check; tokens in the order of the windows."""
    target: str
    """The label that is explained."""
    score: str
    """What the score is: `the logit of positive`."""
    baseline: str
    tolerance: float

    @property
    def warning(self) -> str | None:
        """A sentence where the integral is not good enough."""
        if self.tokens.error <= self.tolerance:
            return None
        return (
            f"the attributions are off: they miss F(text) - F(baseline) by {self.tokens.error:.1%} with {self.tokens.points} points"
            f" (wanted: {self.tolerance:.1%}); read them with care, or choose another baseline"
        )

    @property
    def check(self) -> str:
        """What was computed, and how far it adds up."""
        tokens = self.tokens
        return (
            f"integrated gradients of {self.score}: {tokens.baseline_score:+.3f} with all words as {self.baseline}, {tokens.score:+.3f} as"
            f" written; the words' shares add up to the difference within {100 * tokens.error:.2g} % of it ({tokens.points} points)"
        )
