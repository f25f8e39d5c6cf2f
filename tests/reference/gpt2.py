"""GPT-2 with every head that `transformers` gives it, as cases of the comparison."""

from dataclasses import replace

from tests.reference.comparison import CASES, Case, _at_targets

_SIZES = {
    "vocab_size": 97,
    "n_positions": 40,
    "n_embd": 28,
    "n_layer": 3,
    "n_head": 4,
    "n_inner": 33,
    "layer_norm_epsilon": 0.01,  # large enough to be seen in the outputs
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.15,
    "attn_pdrop": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
_LABELS = ("sequence_classification", "token_classification", "question_answering")
_OWN = {
    "bare": replace(CASES["bare"], class_name="GPT2Model"),
    "causal_lm": Case("GPT2LMHeadModel", {"words": ("causal_lm", 97)}, lambda out, b: {"words": _at_targets(out.logits, b)}),
    **{head: replace(CASES[head], class_name=CASES[head].class_name.replace("Bert", "GPT2")) for head in _LABELS},
}
_CASES = {
    head: replace(case, config_class="GPT2Config", sizes=_SIZES, segments=False, activation_key="activation_function")
    for head, case in _OWN.items()
}
_UNUSUAL = {"n_inner": None, "n_layer": 2, "n_head": 14, "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True}

GPT2_CASES = {f"gpt2 {head}": case for head, case in _CASES.items()}
GPT2_CASES["gpt2 unusual"] = replace(_CASES["bare"], sizes={**_SIZES, **_UNUSUAL})
