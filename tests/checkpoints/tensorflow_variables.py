"""The variables of the checkpoint in `tensorflow/`: what `make_tensorflow_checkpoint.py` wrote, drawn again from its seed."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SEED, STEP = 20181018, 1000
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in "aeinrt")]
CONFIG = {
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 12,
    "initializer_range": 0.02,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": len(VOCABULARY),
}
"""As google-research/bert writes it: no `model_type`."""


def shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the trained variables; a kernel is [in, out]."""
    hidden, wide = 12, 20
    norm = {"LayerNorm/beta": (hidden,), "LayerNorm/gamma": (hidden,)}
    out: dict[str, tuple[int, ...]] = {
        "bert/embeddings/word_embeddings": (len(VOCABULARY), hidden),
        "bert/embeddings/token_type_embeddings": (2, hidden),
        "bert/embeddings/position_embeddings": (16, hidden),
    }
    out |= {f"bert/embeddings/{name}": shape for name, shape in norm.items()}
    dense = {f"attention/self/{name}": (hidden, hidden) for name in ("query", "key", "value")}
    dense |= {"attention/output/dense": (hidden, hidden), "intermediate/dense": (hidden, wide), "output/dense": (wide, hidden)}
    for layer in range(2):
        at = f"bert/encoder/layer_{layer}"
        for name, shape in dense.items():
            out |= {f"{at}/{name}/kernel": shape, f"{at}/{name}/bias": shape[1:]}
        for place in ("attention/output", "output"):
            out |= {f"{at}/{place}/{name}": shape for name, shape in norm.items()}
    out |= {"bert/pooler/dense/kernel": (hidden, hidden), "bert/pooler/dense/bias": (hidden,)}
    out |= {"cls/predictions/transform/dense/kernel": (hidden, hidden), "cls/predictions/transform/dense/bias": (hidden,)}
    out |= {f"cls/predictions/transform/{name}": shape for name, shape in norm.items()}
    out |= {"cls/predictions/output_bias": (len(VOCABULARY),)}
    return out | {"cls/seq_relationship/output_weights": (2, hidden), "cls/seq_relationship/output_bias": (2,)}


def variables() -> dict[str, Array]:
    """Every trained variable with its two of the optimizer, in float32."""
    random = np.random.Generator(np.random.PCG64(SEED))
    out: dict[str, Array] = {}
    for name, shape in shapes().items():
        for part in ("", "/adam_m", "/adam_v"):
            out[name + part] = random.normal(scale=0.5, size=shape).astype(np.float32)
    return out
