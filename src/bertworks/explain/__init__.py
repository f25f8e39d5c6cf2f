"""Why a model answers as it does: attention as it was computed, integrated gradients, and whether these are faithful."""

from bertworks.explain.attribution import Target, Term, TokenAttributions, integrated_gradients
from bertworks.explain.deletion import DeletionCurve
from bertworks.explain.explanation import Explanation
from bertworks.explain.question import Answer, Attributions, Baseline, Kind, Question
from bertworks.explain.reading import Reading, Word

__all__ = [
    "Answer",
    "Attributions",
    "Baseline",
    "DeletionCurve",
    "Explanation",
    "Kind",
    "Question",
    "Reading",
    "Target",
    "Term",
    "TokenAttributions",
    "Word",
    "integrated_gradients",
]
