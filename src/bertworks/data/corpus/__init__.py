"""Corpora: raw text as memory-mapped tokens, and the sequences that pretraining cuts out of them."""
