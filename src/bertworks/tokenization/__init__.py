"""Tokenizers: text to token ids and back, in every format that models come with.

`Tokenizer.load` reads a tokenizer, `encode_batch` makes of each row the sequences that a model sees: one where
the row fits, overlapping windows (or what else is asked for) where it does not. Each `Encoding` says where each
of its tokens came from, and how many were left out.
"""

from bertworks.tokenization.encoding import Encoding
from bertworks.tokenization.tokenizer import Tokenizer
from bertworks.tokenization.windows import Overflow

__all__ = ["Encoding", "Overflow", "Tokenizer"]
