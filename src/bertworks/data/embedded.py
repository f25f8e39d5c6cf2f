"""The labelled reviews that come with the package."""

from pathlib import Path
from typing import Literal

from bertworks.data.text_data import TextData, read_texts

REVIEWS = Path(__file__).with_name("reviews.csv")
"""Columns: text, label, split."""


def reviews(split: Literal["train", "test"] = "train") -> TextData:
    """The package's own small set of reviews; works without a network. Raises `DataError` for an unknown split."""
    return read_texts(REVIEWS, split=split, text="text", label="label")
