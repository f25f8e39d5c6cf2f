"""Multiple choice: what the verbs do for it; the estimator is `bertworks.MultipleChoice`."""
