"""Running models: loading them from folders, and scores for whole data sets."""

from bertworks.inference.engine import evaluate, score
from bertworks.inference.models import LoadedModel, load_model, save_model

__all__ = ["LoadedModel", "evaluate", "load_model", "save_model", "score"]
