"""Scripts: those of a text, those that a vocabulary has words of, and a warning where the two do not meet."""

import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from bertworks.errors import ScriptWarning
from bertworks.tokenization.alphabets import CONTINUING

SYMBOLS = "emoji and symbols"
WITHOUT_ALPHABET = ("Han", "Hiragana", "Katakana", "Hangul", "Ethiopic")
"""Scripts of which a character is a word or a syllable."""
_WORDS, _CHARACTERS_THAT_ARE_WORDS = 100, 1000
"""A vocabulary that has fewer of a script, and fewer than a twentieth of its tokens, spells words letter by letter, or lacks most."""
_SPACE = "▁"
"""What SentencePiece writes for a space."""
_LOOKED_AT, _CHARACTERS = 64, 500
"""Texts of a call that are looked at, and characters of each."""
_FEWEST_LETTERS = 5


@cache
def script_of(character: str) -> str | None:
    """The script of a letter or mark, by its Unicode name; symbols beyond ASCII have a name of their own; else None.

    >>> script_of("ж"), script_of("字"), script_of("é"), script_of("1"), script_of("😀")
    ('Cyrillic', 'Han', 'Latin', None, 'emoji and symbols')
    """
    category = unicodedata.category(character)
    if category in ("So", "Sk", "Sm") and not character.isascii():
        return SYMBOLS
    if category[0] not in "LM":
        return None
    words = unicodedata.name(character, "").replace("FULLWIDTH ", "").replace("HALFWIDTH ", "").split()
    first = words[0].split("-")[0] if words else ""
    if first in ("CJK", "KANGXI", "IDEOGRAPHIC"):
        return "Han"
    return None if first in ("", "COMBINING", "VARIATION", "MODIFIER", "FEMININE", "MASCULINE", "MICRO") else first.capitalize()


def letters_by_script(texts: Iterable[str]) -> Counter[str]:
    """How many letters texts have of each script."""
    counts: Counter[str] = Counter()
    for text in texts:
        if text.isascii():
            counts["Latin"] += sum(map(str.isalpha, text))
        else:
            counts.update(script for character in text if (script := script_of(character)) not in (None, SYMBOLS))
    return counts


def known_scripts(vocabulary: Mapping[str, int]) -> frozenset[str]:
    """The scripts of which a vocabulary of pieces of text has words, and not only letters.

    >>> known_scripts({a + b + c: 0 for a in "абвгд" for b in "абвгд" for c in "абвгд"})
    frozenset({'Cyrillic'})
    """
    counts: Counter[str] = Counter()
    for token in vocabulary:
        scripts = [script_of(character) for character in token.removeprefix(CONTINUING).removeprefix(_SPACE)]
        if scripts and scripts[-1] is not None and (len(scripts) > 1 or scripts[-1] in WITHOUT_ALPHABET):
            counts[scripts[-1]] += 1
    fewest = {script: _CHARACTERS_THAT_ARE_WORDS if script in WITHOUT_ALPHABET else _WORDS for script in counts}
    return frozenset(script for script, count in counts.items() if count >= min(fewest[script], len(vocabulary) // 20))


def warn_of_foreign_scripts(texts: Sequence[str], known_by: Callable[[], tuple[frozenset[str], int]]) -> bool:
    """Warns where more than half of the letters of texts are of scripts other than Latin that a vocabulary has no words of; says
    whether it did. Some texts are looked at, from all over. `known_by` gives, where it is asked, the vocabulary's scripts and size."""
    counts = letters_by_script(text[:_CHARACTERS] for text in texts[:: -(-len(texts) // _LOOKED_AT)])
    if counts.total() - counts["Latin"] < max(_FEWEST_LETTERS, counts.total() // 2 + 1):
        return False
    known, size = known_by()
    foreign = [script for script, _ in counts.most_common() if script not in {*known, "Latin"}]
    share = sum(counts[script] for script in foreign) / counts.total()
    if share <= 0.5:
        return False
    warnings.warn(
        f"{share:.0%} of the letters are {' and '.join(foreign[:3])}, but this model's vocabulary ({size:,} tokens) has words of "
        f"{' and '.join(sorted(known)) or 'no script'} only. It takes such text apart, or does not see it at all, so its results mean "
        "nothing: choose a model that was made for this language (model=…, --model …)",
        ScriptWarning,
        stacklevel=4,
    )
    return True
