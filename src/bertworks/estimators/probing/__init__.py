"""Probing what was learnt: a fixed set of small tasks with fixed settings, and what others reached on them."""
