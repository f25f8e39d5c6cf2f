"""Tiny models of each family with random weights, each with a tokenizer of its family's kind, as `transformers` saves them."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from tests.conftest import make_reviews

_OF_BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,
}
_FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_CAMEMBERT = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<s>", "</s>", "<mask>"]
_ALBERT = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]

FAMILIES: dict[str, tuple[str, str, list[str], dict[str, Any]]] = {
    "roberta": ("Roberta", "bpe", _FAIRSEQ, {**_OF_BERT, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", "unigram", _FAIRSEQ, {**_OF_BERT, "type_vocab_size": 1}),
    "camembert": ("Camembert", "unigram", _CAMEMBERT, {**_OF_BERT, "type_vocab_size": 1}),
    "distilbert": (
        "DistilBert",
        "wordpiece",
        _BERT,
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 64, "initializer_range": 0.1},
    ),
    "albert": ("Albert", "unigram", _ALBERT, {**_OF_BERT, "embedding_size": 20, "hidden_act": "gelu_new"}),
    "electra": ("Electra", "wordpiece", _BERT, {**_OF_BERT, "embedding_size": 20}),
}
"""What the classes' names begin with, the kind of tokenizer, its special tokens, and the shape of the model."""


def _trained(kind: str, special: list[str]) -> dict[str, Any]:
    """What a tokenizer of a kind learns of the texts that the tests classify."""
    texts = make_reviews(200, seed=7)[0]
    if kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=250, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return dict(json.loads(tokenizer.to_str())["model"])


def write_family(family: str, folder: Path) -> Path:
    """A folder with a bare encoder and its tokenizer."""
    import torch
    import transformers

    classes, kind, special, sizes = FAMILIES[family]
    learnt = _trained(kind, special)
    given: dict[str, Any] = {"vocab": learnt["vocab"]}
    if kind == "bpe":
        given["merges"] = [tuple(merge) for merge in learnt["merges"]]
    if kind == "unigram":
        given["vocab"] = [(token, score) for token, score in learnt["vocab"]]
    tokenizer = getattr(transformers, f"{classes}Tokenizer")(**given)
    tokenizer.save_pretrained(folder)
    config = getattr(transformers, f"{classes}Config")(**sizes, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    torch.manual_seed(3)
    getattr(transformers, f"{classes}Model")(config).save_pretrained(folder)
    return folder
