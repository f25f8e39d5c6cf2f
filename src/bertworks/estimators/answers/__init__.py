"""Question answering: the estimator, its explanations, and what the verbs do for it."""
