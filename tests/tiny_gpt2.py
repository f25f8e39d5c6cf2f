"""A tiny GPT-2 folder: two layers, random weights, and a byte-level vocabulary that writes each word of the tests as a token."""

import json
from pathlib import Path

from bertworks.inference import save_model
from bertworks.inference.models import new_model
from bertworks.tokenization.families import byte_level
from bertworks.tokenization.tokenizer import Tokenizer
from tests.conftest import BAD, GOOD, PLAIN

END = "<|endoftext|>"
CONFIG = {
    "model_type": "gpt2",
    "n_positions": 64,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_inner": None,
    "activation_function": "gelu_new",
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.1,
}


def tiny_tokenizer() -> Tokenizer:
    """All bytes, the words of the tests with the space before them, and an end of text, as GPT-2's own vocabulary has them."""
    from tokenizers import pre_tokenizers

    vocabulary = {symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []
    for word in [*GOOD, *BAD, *PLAIN]:
        whole = "Ġ"
        for letter in word:
            merges.append((whole, letter))
            whole += letter
            vocabulary.setdefault(whole, len(vocabulary))
    vocabulary[END] = len(vocabulary)
    roles = {"bos_token": END, "eos_token": END, "unk_token": END}
    return Tokenizer(byte_level(vocabulary, list(dict.fromkeys(merges)), roles, bare=True), roles)


def write_tiny_gpt2(folder: Path, seed: int = 1, spread: float | None = None, **changes: object) -> Path:
    """`spread` is the standard deviation of the weights, which are else drawn as for a training."""
    tokenizer = tiny_tokenizer()
    config = {**CONFIG, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.end_id, "bos_token_id": tokenizer.begin_id, **changes}
    config |= {} if spread is None else {"initializer_range": spread}
    loaded = new_model(config, {"next_token": ("causal_lm", len(tokenizer))}, seed=seed)
    folder.mkdir(parents=True)
    save_model(folder, loaded)
    tokenizer.save(folder)
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["GPT2LMHeadModel"]
    return folder
