"""Metrics that are computed while the data streams by, and what tells whether they can be trusted.

A metric is made once, `update` is called with each batch, `merge` joins the parts of several workers, and
`compute` gives the numbers. No answer is NaN: where a metric is undefined, its docstring says which value stands.
Their memory does not grow with the set, but for the pairs that Spearman's correlation ranks.

Beside the numbers stand their intervals (`replicates` of the metrics), the answers that no reading is needed for
(`baselines`), the comparison of two models on the same rows (`compare`), probabilities that mean what they say
(`fit_temperature`), and the mistakes that a model is surest of (`ConfidentMistakes`).
"""

from bertworks.evaluation.baselines import baselines
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.evaluation.calibration import apply_temperature, fit_temperature
from bertworks.evaluation.classification import ClassificationMetrics
from bertworks.evaluation.comparison import Comparison, Difference, McNemar, compare
from bertworks.evaluation.intervals import INTERVAL_LEVEL
from bertworks.evaluation.metrics import Metrics
from bertworks.evaluation.mistakes import ConfidentMistakes, Mistake
from bertworks.evaluation.multilabel import MultiLabelMetrics
from bertworks.evaluation.regression import RegressionMetrics
from bertworks.evaluation.thresholds import best_thresholds

__all__ = [
    "DEFAULT_REPLICATES",
    "INTERVAL_LEVEL",
    "ClassificationMetrics",
    "Comparison",
    "ConfidentMistakes",
    "Difference",
    "McNemar",
    "Metrics",
    "Mistake",
    "MultiLabelMetrics",
    "RegressionMetrics",
    "apply_temperature",
    "baselines",
    "best_thresholds",
    "compare",
    "fit_temperature",
]
