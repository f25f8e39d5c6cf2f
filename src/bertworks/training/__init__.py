"""Training: one visible loop, exact state, run folders. The loop, and torch with it, loads when it is first used."""

from typing import TYPE_CHECKING, Any

from bertworks.training.config import TrainingConfig

if TYPE_CHECKING:
    from bertworks.training.loop import TrainingResult, train

__all__ = ["TrainingConfig", "TrainingResult", "train"]


def __getattr__(name: str) -> Any:
    """Settings can be read without torch: the command line's help does."""
    if name not in ("TrainingResult", "train"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name)
    from bertworks.training import loop

    return getattr(loop, name)
