"""Why a model answers as it does: attention as it was computed, integrated gradients, and whether these are faithful."""

from bertworks.explain.attribution import TokenAttributions, integrated_gradients
from bertworks.explain.deletion import DeletionCurve
from bertworks.explain.explanation import Explanation
from bertworks.explain.question import Answer, Attributions, Baseline, Kind, NoAnswer, Question
from bertworks.explain.reading import Reading, Word
from bertworks.explain.targets import Chosen, Likeness, Projection, Target, Term

__all__ = [
    "Answer",
    "Attributions",
    "Baseline",
    "Chosen",
    "DeletionCurve",
    "Explanation",
    "Kind",
    "Likeness",
    "NoAnswer",
    "Projection",
    "Question",
    "Reading",
    "Target",
    "Term",
    "TokenAttributions",
    "Word",
    "integrated_gradients",
]
