"""Metrics that are computed while the data streams by: their memory does not grow with the set.

A metric is made once, `update` is called with each batch, `merge` joins the parts of several workers, and
`compute` gives the numbers. No answer is NaN: where a metric is undefined, its docstring says which value stands.
"""

from bertworks.evaluation.classification import ClassificationMetrics
from bertworks.evaluation.metrics import Metrics
from bertworks.evaluation.multilabel import MultiLabelMetrics
from bertworks.evaluation.regression import RegressionMetrics
from bertworks.evaluation.thresholds import best_thresholds

__all__ = ["ClassificationMetrics", "Metrics", "MultiLabelMetrics", "RegressionMetrics", "best_thresholds"]
