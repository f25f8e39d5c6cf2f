"""Training: one visible loop, exact state, run folders."""

from bertworks.training.config import TrainingConfig
from bertworks.training.loop import TrainingResult, train

__all__ = ["TrainingConfig", "TrainingResult", "train"]
