"""One file a verb; `bertworks.estimators.workflows` names them all."""
