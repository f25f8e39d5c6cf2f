"""What a tokenizer does not know of the texts: unknown tokens, and scripts that it spells letter by letter."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from jaxtyping import Int

from bertworks.batch import Array
from bertworks.data.inspection.findings import Finding, Level
from bertworks.data.inspection.rows import TextRows, evenly_spaced, listing
from bertworks.tokenization import Tokenizer
from bertworks.tokenization.scripts import SYMBOLS, WITHOUT_ALPHABET, script_of

_LOOKED_AT = 1000
"""Rows whose characters are looked at one by one."""
_REMEDY = "Choose a model that was made for such texts with model=… (--model …)"


@dataclass
class ScriptCounts:
    """Characters of each script, and what became of them."""

    characters: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    """Characters that lie in unknown tokens."""
    tokens: Counter[str] = field(default_factory=Counter)
    """Tokens that begin with a character of the script."""


def count_scripts(texts: list[str], tokenizer: Tokenizer) -> ScriptCounts:
    """Counts the characters and tokens of each script in texts."""
    counts = ScriptCounts()
    for text, (encoding,) in zip(texts, tokenizer.encode_batch(texts), strict=True):
        scripts = [script_of(character) for character in text]
        counts.characters.update(script for script in scripts if script)
        spans = encoding.offsets[encoding.sequence_ids >= 0].tolist()
        ids = encoding.ids[encoding.sequence_ids >= 0].tolist()
        for (start, end), token in zip(spans, ids, strict=True):
            script = scripts[start] if start < end else None
            counts.tokens.update([script] if script else [])
            if token == tokenizer.unknown_id:
                counts.unknown.update(script for script in scripts[start:end] if script)
    return counts


def check_unknown(rows: TextRows, tokens: Int[Array, "rows 2"], tokenizer: Tokenizer, name: str) -> Iterator[Finding]:
    """Unknown tokens, of all and by script, and scripts that are spelled letter by letter; `tokens` are those of each row
    and how many of them are unknown."""
    special = tokenizer.special_tokens_per_sequence(rows.pairs is not None)
    total = int(tokens[:, 0].sum()) - special * len(rows)
    unknown = int(tokens[:, 1].sum())
    places = evenly_spaced(len(rows), _LOOKED_AT)
    scripts = count_scripts([rows.whole[i] for i in places], tokenizer)
    letters = sum(count for script, count in scripts.characters.items() if script != SYMBOLS)
    lost = sum(count for script, count in scripts.unknown.items() if script != SYMBOLS)
    if total and unknown / total >= 0.005:
        nothing_left = (total >= 100 and unknown > 0.9 * total) or (letters >= 100 and lost > 0.95 * letters)
        level: Level = "error" if nothing_left else "warning" if unknown > 0.05 * total else "note"
        shares = {script: count / scripts.characters[script] for script, count in scripts.unknown.most_common()}
        by_script = listing((f"{script} {share:.0%}" for script, share in shares.items() if share >= 0.01), 4)
        told = f" Of the characters of a script, unknown are: {by_script}." if by_script else ""
        yield rows.finding(
            level,
            "Unknown to the tokenizer",
            f"{unknown:,} of {total:,} tokens ({unknown / total:.1%}) are unknown to the tokenizer of {name}.{told} {_REMEDY}, or add "
            "words with new_tokens (--new-token).",
            [i for i, count in enumerate(tokens[:, 1].tolist()) if count],
        )
    spelled = {
        script: scripts.tokens[script] / count
        for script, count in scripts.characters.items()
        if script != SYMBOLS and count >= 0.05 * letters and scripts.unknown[script] < 0.5 * count
    }
    spelled = {script: rate for script, rate in spelled.items() if rate > (1.5 if script in WITHOUT_ALPHABET else 0.6)}
    if spelled and letters >= 100:
        rates = listing(
            f"{script} ({scripts.characters[script] / letters:.0%} of the letters): {rate:.1f}" for script, rate in spelled.items()
        )
        yield Finding(
            "warning",
            "Spelled letter by letter",
            f"The tokenizer of {name} has hardly a word of a script in these texts and takes them apart. Tokens a letter: {rates}; where a "
            f"tokenizer knows a language there are 0.2 to 0.4, or up to 1 in Chinese. {_REMEDY}.",
        )
