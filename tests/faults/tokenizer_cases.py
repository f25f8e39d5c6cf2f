"""Tokenizers that are missing, damaged, or of another model; texts that cannot be tokenized."""

import json
from pathlib import Path
from typing import Any

from bertworks.errors import CheckpointError, DataError, SettingsError
from tests.faults.case import Case, Change, bytes_of, file, json_with, without

LOAD = "bertworks predict model 'a text'"
ALONE = (without("model/tokenizer.json"), without("model/tokenizer_config.json"))


def tokenizer(**changes: Any) -> tuple[Change, ...]:
    """Changes tokenizer.json's model."""

    def change() -> None:
        path = Path("model/tokenizer.json")
        content = json.loads(path.read_text(encoding="utf-8"))
        content["model"].update(changes)
        path.write_text(json.dumps(content), encoding="utf-8")

    return (change,)


TOKENIZERS = [
    Case(
        "a model without a tokenizer",
        LOAD,
        CheckpointError,
        "no tokenizer in model",
        "looked for tokenizer.json, vocab.txt",
        (*ALONE, without("model/vocab.txt")),
    ),
    Case(
        "an empty SentencePiece file",
        LOAD,
        CheckpointError,
        "spiece.model is no SentencePiece model",
        "download or copy it again",
        (*ALONE, without("model/vocab.txt"), file("model/spiece.model", b"")),
    ),
    Case(
        "a tokenizer.json that is no JSON",
        LOAD,
        CheckpointError,
        "the tokenizer in model cannot be read",
        "download or copy it again",
        (bytes_of("model/tokenizer.json", lambda data: data[:-9]),),
        vague=r"(?<=read: ).*(?=; download)",
    ),
    Case(
        "a tokenizer.json of an unknown kind",
        LOAD,
        CheckpointError,
        "the tokenizer in model cannot be read",
        "download or copy it again",
        tokenizer(type="Runes"),
        vague=r"(?<=read: ).*(?=; download)",
    ),
    Case(
        "a vocabulary.json without merges",
        "Tokenizer.load('odd')",
        CheckpointError,
        "odd/vocab.json",
        "merges.txt",
        (file("odd/vocab.json", '{"a": 0}'),),
    ),
    Case(
        "a vocabulary of wrong numbers",
        "Tokenizer.load('odd')",
        CheckpointError,
        "odd/vocab.json gives the token 'a' the id 'b'",
        "download or copy it again",
        (file("odd/vocab.json", '{"a": "b"}'), file("odd/merges.txt", "")),
    ),
    Case(
        "a vocabulary with merges that are not of bytes",
        "Tokenizer.load('odd')",
        CheckpointError,
        "odd/vocab.json is no byte-level vocabulary",
        "save the tokenizer as tokenizer.json",
        (file("odd/vocab.json", '{"o": 0, "t</w>": 1, "ot</w>": 2}'), file("odd/merges.txt", "o t</w>\n")),
    ),
    Case(
        "a vocabulary that a tokenizer of another kind uses",
        LOAD,
        CheckpointError,
        "model: a vocabulary alone does not make its kind of tokenizer (tokenizer_class 'BertJapaneseTokenizer'",
        "save the tokenizer as tokenizer.json",
        (
            without("model/tokenizer.json"),
            json_with("model/tokenizer_config.json", tokenizer_class="BertJapaneseTokenizer", word_tokenizer_type="mecab"),
        ),
    ),
    Case(
        "a vocabulary without its unknown token",
        LOAD,
        CheckpointError,
        "vocab.txt is no WordPiece vocabulary",
        "[UNK]",
        (*ALONE, file("model/vocab.txt", "the\ndog\n")),
    ),
    Case(
        "a vocabulary that is no UTF-8",
        LOAD,
        CheckpointError,
        "model/vocab.txt is no UTF-8 text (byte 6)",
        "download or copy it again",
        (*ALONE, file("model/vocab.txt", b"[UNK]\n\xff\xfe\n")),
    ),
    Case(
        "an empty vocabulary",
        LOAD,
        CheckpointError,
        "model/vocab.txt is no WordPiece vocabulary",
        "download or copy it again",
        (*ALONE, file("model/vocab.txt", b"")),
    ),
    Case("an id without end", LOAD, CheckpointError, "an id of 4,294,967,295", "download or copy it again", (lambda: _with_id(2**32 - 1),)),
    Case(
        "a tokenizer of another model",
        LOAD,
        CheckpointError,
        "its tokenizer has ids up to 5,000",
        "they are of different models",
        (lambda: _with_id(5000),),
    ),
    Case(
        "a switch that is neither on nor off",
        LOAD,
        CheckpointError,
        "model/tokenizer_config.json: 'do_lower_case'",
        "must be true or false, not 'yes'",
        (json_with("model/tokenizer_config.json", do_lower_case="yes"),),
    ),
    Case(
        "an added token that is none",
        LOAD,
        CheckpointError,
        "'added_tokens_decoder' lists 'x' as 3",
        "copy it again",
        (json_with("model/tokenizer_config.json", added_tokens_decoder={"x": 3}),),
    ),
    Case(
        "a special token that is none",
        LOAD,
        CheckpointError,
        "model/tokenizer_config.json: 'extra_special_tokens' lists 3",
        "correct it or copy it again",
        (json_with("model/tokenizer_config.json", extra_special_tokens=[3]),),
    ),
    Case(
        "added tokens under other numbers",
        LOAD,
        CheckpointError,
        "the added token '<new>' is listed as 999",
        "download or copy them again",
        (file("model/added_tokens.json", '{"<new>": 999}'),),
    ),
    Case(
        "lower case of a byte-level tokenizer",
        "Tokenizer.load('bytes', lower_case=True)",
        SettingsError,
        "lower_case=True",
        "cannot be set",
        (file("bytes/vocab.json", '{"a": 0, "b": 1}'), file("bytes/merges.txt", "")),
    ),
    Case(
        "half a character in a text",
        "bw.load('model').predict(['fine', 'half \\ud83d'])",
        DataError,
        "row 1 of texts has a lone surrogate",
        "repair the text",
    ),
    Case("ids outside the vocabulary", "Tokenizer.load('model').decode([10**6])", DataError, "the id 1000000", "outside the vocabulary of"),
    Case(
        "a new token that is empty",
        "bw.TextClassifier('encoder', new_tokens=['']).fit(['a', 'b'], [0, 1])",
        SettingsError,
        "add_tokens",
        "non-empty strings",
    ),
]


def _with_id(number: int) -> None:
    """Gives the last token of the vocabulary another id."""
    path = Path("model/tokenizer.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["model"]["vocab"]["?"] = number
    path.write_text(json.dumps(content), encoding="utf-8")
