"""scikit-learn's conventions, without importing it: parameters, cloning, tags."""

import inspect
import sys
from dataclasses import fields
from typing import Any, ClassVar, Self

from bertworks.errors import NotFittedError, SettingsError, nearest
from bertworks.training.config import TrainingConfig


class Estimator:
    """Parameters are what the constructor takes: its own, and every field of `TrainingConfig`.

    They are stored as given and looked at in `fit`, so that `clone`, `set_params` and searches work.
    """

    _estimator_type: ClassVar[str]
    settings_table: ClassVar[str]
    """The table of a run's config.toml that holds the estimator's own parameters."""

    def __init__(self, **training: Any) -> None:
        known = [f.name for f in fields(TrainingConfig)]
        for name in training:
            if name not in known:
                raise SettingsError(f"{type(self).__name__} has no setting '{name}'.{nearest(name, [*self._own_names(), *known])}")
        for field in fields(TrainingConfig):
            setattr(self, field.name, training.get(field.name, field.default))

    @classmethod
    def _own_names(cls) -> list[str]:
        parameters = inspect.signature(cls.__init__).parameters.values()
        return [p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name (`deep` is scikit-learn's; there is nothing nested here)."""
        return {name: getattr(self, name) for name in [*self._own_names(), *(f.name for f in fields(TrainingConfig))]}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters; raises `SettingsError` for one that does not exist."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise SettingsError(f"{type(self).__name__} has no setting '{name}'.{nearest(name, known)}")
            setattr(self, name, value)
        return self

    def training_config(self) -> TrainingConfig:
        """The training settings, checked. Raises `SettingsError` that lists all that is wrong."""
        return TrainingConfig(**{f.name: getattr(self, f.name) for f in fields(TrainingConfig)})

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks an estimator about itself. Only scikit-learn calls this, so it is loaded already."""
        utils = sys.modules["sklearn.utils"]
        classifies = self._estimator_type == "classifier"
        return utils.Tags(
            estimator_type=self._estimator_type,
            target_tags=utils.TargetTags(required=True),
            classifier_tags=utils.ClassifierTags() if classifies else None,
            regressor_tags=None if classifies else utils.RegressorTags(),
            input_tags=utils.InputTags(string=True, two_d_array=False),
        )

    def _require(self, attribute: str) -> Any:
        value = getattr(self, attribute, None)
        if value is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet: call fit(texts, labels), or load one with bertworks.load(folder)"
            )
        return value

    def __repr__(self) -> str:
        defaults = {p.name: p.default for p in inspect.signature(type(self).__init__).parameters.values()}
        defaults |= {f.name: f.default for f in fields(TrainingConfig)}
        changed = [f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults.get(name)]
        return f"{type(self).__name__}({', '.join(changed)})"
