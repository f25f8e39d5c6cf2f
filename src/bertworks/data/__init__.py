"""Readers, packing, sampling and corpora. Import from the modules: `from bertworks.data.text_data import read_texts`."""
