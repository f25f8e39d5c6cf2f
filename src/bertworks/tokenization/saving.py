"""Writing a tokenizer so that transformers, and whatever else reads its files, makes the same ids of a text."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend


def write(backend: Backend, roles: Mapping[str, str], folder: Path, *, segments: bool = True, max_tokens: int | None = None) -> None:
    """Writes tokenizer.json, tokenizer_config.json, special_tokens_map.json and, for WordPiece, vocab.txt; for byte-level BPE
    without a normalizer, which plain files cannot express, vocab.json and merges.txt. `segments` says whether the model can be
    told them, `max_tokens` how many tokens it reads at most."""
    folder.mkdir(parents=True, exist_ok=True)
    description = json.loads(backend.to_str())
    _write(folder / "tokenizer.json", backend.to_str(pretty=True))
    _write_json(folder / "tokenizer_config.json", _config(description, roles, segments, max_tokens))
    _write_json(folder / "special_tokens_map.json", dict(roles))
    vocabulary = folder / "vocab.txt"
    tokens = sorted(description["model"]["vocab"], key=description["model"]["vocab"].__getitem__) if _is_wordpiece(description) else []
    if tokens and description["model"]["vocab"][tokens[-1]] == len(tokens) - 1 and not any("\n" in token for token in tokens):
        _write(vocabulary, "".join(token + "\n" for token in tokens))
    else:
        vocabulary.unlink(missing_ok=True)
    model, splitter = description["model"], description["pre_tokenizer"] or {}
    if model["type"] == "BPE" and splitter.get("type") == "ByteLevel" and description["normalizer"] is None:
        _write_json(folder / "vocab.json", dict(sorted(model["vocab"].items(), key=lambda item: item[1])))
        _write(folder / "merges.txt", "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in model["merges"]))
    else:
        for name in ("vocab.json", "merges.txt"):
            (folder / name).unlink(missing_ok=True)


def _config(description: Mapping[str, Any], roles: Mapping[str, str], segments: bool, max_tokens: int | None) -> dict[str, Any]:
    """With the class BertTokenizer, transformers rebuilds the tokenizer from its vocabulary and these settings;
    with PreTrainedTokenizerFast it takes tokenizer.json as it is. The first is for what BERT's class can express."""
    bert = _is_plain_bert(description, roles)
    config: dict[str, Any] = {"tokenizer_class": "BertTokenizer" if bert else "PreTrainedTokenizerFast"}
    normalizer = description["normalizer"] or {}
    if normalizer.get("type") == "BertNormalizer":
        config["do_lower_case"] = normalizer["lowercase"]
        config["strip_accents"] = normalizer["strip_accents"]
        config["tokenize_chinese_chars"] = normalizer["handle_chinese_chars"]
    splitter = description["pre_tokenizer"] or {}
    if splitter.get("type") == "ByteLevel":
        config["add_prefix_space"] = splitter["add_prefix_space"]
    # A decoder of the library cleans up by itself where its family does; model_input_names says whether the
    # family has segments.
    config["clean_up_tokenization_spaces"] = False
    if max_tokens is not None:
        config["model_max_length"] = max_tokens
    names = ["token_type_ids"] if segments and _has_segments(description) else []
    config["model_input_names"] = ["input_ids", *names, "attention_mask"]
    config["added_tokens_decoder"] = {
        str(token["id"]): {name: value for name, value in token.items() if name != "id"} for token in description["added_tokens"]
    }
    return config | dict(roles)


def _is_wordpiece(description: Mapping[str, Any]) -> bool:
    return bool(description["model"]["type"] == "WordPiece")


def _is_plain_bert(description: Mapping[str, Any], roles: Mapping[str, str]) -> bool:
    model, normalizer = description["model"], description["normalizer"] or {}
    begin, separate = roles.get("cls_token"), roles.get("sep_token")
    texts = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    first = [{"SpecialToken": {"id": begin, "type_id": 0}}, texts[0], {"SpecialToken": {"id": separate, "type_id": 0}}]
    processor = description["post_processor"] or {}
    return (
        _is_wordpiece(description)
        and model["continuing_subword_prefix"] == "##"
        and model["max_input_chars_per_word"] == 100
        and model["unk_token"] == roles.get("unk_token")
        and normalizer.get("type") == "BertNormalizer"
        and normalizer["clean_text"]
        and (description["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        and {"cls_token", "sep_token", "pad_token", "mask_token"} <= set(roles)
        and processor.get("single") == first
        and processor.get("pair") == [*first, texts[1], {"SpecialToken": {"id": separate, "type_id": 1}}]
    )


def _has_segments(description: Mapping[str, Any]) -> bool:
    pair = (description["post_processor"] or {}).get("pair")
    if pair is None:
        return (description["post_processor"] or {}).get("type") == "BertProcessing"
    return any(piece.get("Sequence", {}).get("type_id") for piece in pair)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    _write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, content: str) -> None:
    """Whole or not at all: an interrupted write leaves the old file."""
    part = path.with_name(path.name + ".part")
    part.write_text(content, encoding="utf-8", newline="\n")
    os.replace(part, path)
