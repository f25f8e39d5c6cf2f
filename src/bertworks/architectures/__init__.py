"""Families of encoders. Each is a description read from config.json and a table of weights; no mathematics."""

from bertworks.architectures.architecture import Architecture, HeadKind
from bertworks.architectures.registry import ARCHITECTURES, architecture_of, naming, read_config, read_description

__all__ = ["ARCHITECTURES", "Architecture", "HeadKind", "architecture_of", "naming", "read_config", "read_description"]
