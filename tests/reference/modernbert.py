"""ModernBERT with every head that `transformers` gives it, as cases of the comparison, in which windows really slide."""

from dataclasses import replace

from tests.reference.comparison import CASES

_SIZES = {
    "vocab_size": 97,
    "hidden_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 18,
    "global_attn_every_n_layers": 2,
    "max_position_embeddings": 320,
    "local_attention": 8,
    "norm_eps": 0.01,  # large enough to be seen in the outputs
    "attention_dropout": 0.2,
    "embedding_dropout": 0.1,
    "mlp_dropout": 0.15,
    "classifier_dropout": 0.3,
    "pad_token_id": 0,
}
_BIASES = dict.fromkeys(("attention_bias", "mlp_bias", "norm_bias", "classifier_bias"), True)
_LOCAL_LAST = ["sliding_attention", "full_attention", "sliding_attention"]
_HEADS = ("bare", "masked_lm", "sequence_classification", "token_classification", "question_answering", "multiple_choice")
_CASES = {
    head: replace(
        CASES[head],
        class_name=CASES[head].class_name.replace("Bert", "ModernBert"),
        config_class="ModernBertConfig",
        sizes=_SIZES,
        segments=False,
        attention="exact",
        activation_key="hidden_activation",
        lengths=(11, 11, 100, 1, 23, 9),  # long ones are cut into stretches, short ones are not
    )
    for head in _HEADS
}
MODERNBERT_CASES = {f"modernbert {head}": case for head, case in _CASES.items()} | {
    f"modernbert {name}": replace(_CASES[head], sizes={**_SIZES, **changes}, lengths=lengths)
    for name, head, changes, lengths in (
        ("wide", "bare", {"local_attention": 128, "num_hidden_layers": 2}, (11, 310)),
        ("biased", "bare", _BIASES, (11, 11, 100, 1)),
        ("biased masked_lm", "masked_lm", {**_BIASES, "classifier_activation": "silu"}, (11, 11, 100, 1)),
        ("masked_lm without bias", "masked_lm", {"decoder_bias": False}, (23, 100, 9)),
        ("mean", "sequence_classification", {**_BIASES, "classifier_pooling": "mean"}, (11, 11, 100, 1)),
        ("mean of choices", "multiple_choice", {"classifier_pooling": "mean"}, (11, 11, 100)),
        ("local last", "sequence_classification", {"layer_types": _LOCAL_LAST}, (11, 11, 150, 1)),
    )
}
