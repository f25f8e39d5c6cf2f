"""The working folder of every case: some reviews, a bare encoder, and finished models that were never trained.

reviews.csv     id, review, sentiment: 24 rows
encoder/        a tiny BERT without a head
model/          a classifier of single texts: negative, positive
pairs/          a classifier of pairs: same, other
tags/           a classifier with several labels a text: food, price, staff
"""

import shutil
from pathlib import Path

from tests.conftest import make_reviews, write_tiny_bert

MODELS = {"model": ("single", ("negative", "positive"), False), "pairs": ("single", ("other", "same"), True)}
MODELS |= {"tags": ("multi", ("food", "price", "staff"), False)}


def build(folder: Path) -> Path:
    """Makes the folder that cases work in copies of."""
    from bertworks.estimators import model_folder
    from bertworks.inference import load_model
    from bertworks.tasks.text_classification import TextClassification
    from bertworks.tokenization import Tokenizer

    folder.mkdir(parents=True)
    texts, labels = make_reviews(24)
    rows = [f'{i},"{text}",{label}' for i, (text, label) in enumerate(zip(texts, labels, strict=True))]
    (folder / "reviews.csv").write_text("id,review,sentiment\n" + "\n".join(rows) + "\n", encoding="utf-8")
    encoder = write_tiny_bert(folder / "encoder", hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12)
    tokenizer = Tokenizer.load(encoder)
    for name, (kind, names, pairs) in MODELS.items():
        task = TextClassification(kind, names, pairs=pairs, max_tokens=64)  # type: ignore[arg-type]
        loaded = load_model(encoder, task.heads, new_heads=True)
        model_folder.save(folder / name, loaded, tokenizer, task, about={}, replace=False)
    return folder


def copy(world: Path, folder: Path) -> Path:
    """A working folder of its own for one case."""
    return Path(shutil.copytree(world, folder))
