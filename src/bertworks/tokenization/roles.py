"""Which tokens are special, and what for: [CLS], [SEP], [MASK] and their like by their roles."""

from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

# Under these names transformers' files say which token has which role; beside each, what a vocabulary calls it
# where no file says so.
ROLES: dict[str, tuple[str, ...]] = {
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
    "unk_token": ("[UNK]", "<unk>"),
    "pad_token": ("[PAD]", "<pad>"),
    "bos_token": ("<s>", "<|endoftext|>"),
    "eos_token": ("</s>", "<|endoftext|>"),
}


def named_roles(*files: Mapping[str, Any]) -> dict[str, str]:
    """The roles that configuration files name; an earlier file goes first."""
    found: dict[str, str] = {}
    for file in files:
        for role in ROLES:
            value = file.get(role)
            content = value.get("content") if isinstance(value, Mapping) else value
            if isinstance(content, str) and content:
                found.setdefault(role, content)
    return found


def resolve_roles(named: Mapping[str, str], known: Callable[[str], bool]) -> tuple[dict[str, str], list[str]]:
    """The token of each role and notes about those that were named but that the vocabulary does not know.

    A role that no file names gets the usual token for it, if the vocabulary has one. A byte-level vocabulary
    knows every text; one that names its end-of-text token as unknown token (GPT-2) has no unknown token.
    """
    roles: dict[str, str] = {}
    notes = [
        f"{role} is to be {token!r}, which the vocabulary does not have: not used" for role, token in named.items() if not known(token)
    ]
    for role, usual in ROLES.items():
        candidates = [named[role]] if role in named else usual
        token = next((candidate for candidate in candidates if known(candidate)), None)
        if token is not None:
            roles[role] = token
    if roles.get("unk_token") in {token for role, token in roles.items() if role != "unk_token"}:
        del roles["unk_token"]
    return roles, notes


def protect(backend: Backend, roles: Mapping[str, str]) -> None:
    """Makes the library treat the tokens of roles as special: found in a text as they are written, never split."""
    present = {str(token.content) for token in backend.get_added_tokens_decoder().values() if token.special}
    missing = [token for token in dict.fromkeys(roles.values()) if token not in present]
    # A byte-level vocabulary counts the space before a word to the word, so the space before a mask belongs to what
    # is masked (as in the vocabularies that RoBERTa and ModernBERT were published with).
    takes_space = {roles.get("mask_token")} if backend.token_to_id("Ġ") is not None else set()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False, lstrip=token in takes_space) for token in missing])
