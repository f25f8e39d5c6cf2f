"""Tokens that files list beside a vocabulary: those that were added to it, and special ones that have no role."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from bertworks.errors import CheckpointError

CONFIG, SPECIAL_MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"

_LARGEST_ID = 2**32 - 1
_MARKS = ("single_word", "lstrip", "rstrip", "normalized", "special")
"""What a file may say of an added token besides its content."""
_EXTRA = ("extra_special_tokens", "additional_special_tokens")
"""Under these names transformers keeps special tokens without a role, today and before its version 5."""


def add_listed(backend: Backend, folder: Path, files: Mapping[str, Mapping[str, Any]], roles: Collection[str]) -> None:
    """Adds what the `files` of a folder, by their names, list and the tokenizer does not have: added tokens in the order of their
    ids, then special ones without a role. `roles` are the tokens that have one.

    A token that the vocabulary has keeps its id and is from then on found in a text: a special one as it is written, any other
    as the normalizer leaves it, both as in `transformers`.

    Raises `CheckpointError` where the files list what is no token, or an id that the token does not get.
    """
    extra = _extra_tokens(folder, files)
    special = {*roles, *(token.content for token in extra)}
    listed = {
        number: AddedToken(token, normalized=token not in special, special=token in special)
        for token, number in numbered(folder / ADDED, files[ADDED]).items()
    }
    listed |= _decoder_of(folder / CONFIG, files[CONFIG].get("added_tokens_decoder") or {})
    present = backend.get_added_tokens_decoder()
    for number in sorted(listed):
        token = listed[number]
        if number not in present:
            (backend.add_special_tokens if token.special else backend.add_tokens)([token])
        found = backend.token_to_id(token.content)
        if found != number:
            raise CheckpointError(
                f"the tokenizer's files in {folder} disagree: the added token {token.content!r:.100} is listed as {number} but becomes "
                f"{found}; download or copy them again"
            )
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    backend.add_special_tokens([token for token in extra if token.content not in added])


def numbered(path: Path, table: Mapping[str, Any]) -> dict[str, int]:
    """A table of tokens and their ids. Raises `CheckpointError` where an id is none."""
    for token, number in table.items():
        if type(number) is not int or not 0 <= number <= _LARGEST_ID:
            raise CheckpointError(f"{path} gives the token {token!r:.100} the id {number!r:.50}, which is none: download or copy it again")
    return dict(table)


def _decoder_of(path: Path, table: Any) -> dict[int, AddedToken]:
    """`added_tokens_decoder` of tokenizer_config.json. Raises `CheckpointError` where it is no table of ids and tokens."""
    found = {}
    for number, values in table.items() if isinstance(table, dict) else [("", table)]:
        content = values.get("content") if isinstance(values, dict) else None
        if not isinstance(content, str) or not re.fullmatch("[0-9]{1,9}", number):
            raise CheckpointError(f"{path}: 'added_tokens_decoder' lists {number!r:.50} as {values!r:.50}, which is none: copy it again")
        found[int(number)] = AddedToken(content, **_marks(values))
    return found


def _extra_tokens(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> list[AddedToken]:
    """Special tokens without a role: a list, or a table by names, of the first file that has some."""
    places = [(name, key) for name in (CONFIG, SPECIAL_MAP) for key in _EXTRA]
    for name, key, listed in ((name, key, files[name][key]) for name, key in places if files[name].get(key)):
        tokens = []
        for value in listed.values() if isinstance(listed, dict) else listed if isinstance(listed, list) else [listed]:
            content = value.get("content") if isinstance(value, dict) else value
            if not isinstance(content, str) or not isinstance(listed, dict | list):
                raise CheckpointError(f"{folder / name}: '{key}' lists {value!r:.50}, which is no token: correct it or copy it again")
            tokens.append(AddedToken(content, **{"normalized": False, **_marks(value), "special": True}))
        return tokens
    return []


def _marks(values: Any) -> dict[str, bool]:
    return {name: bool(values[name]) for name in _MARKS if name in values} if isinstance(values, dict) else {}
