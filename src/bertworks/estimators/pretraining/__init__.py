"""Pretraining as users hold it: a configuration, and the run that it describes."""
