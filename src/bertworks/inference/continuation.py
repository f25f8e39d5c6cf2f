"""A text that goes on token by token: what of it is certain by now, and why it ends."""

from collections.abc import Collection, Sequence
from typing import Literal

from bertworks.inference.sampling import GenerationSettings
from bertworks.tokenization import Tokenizer

Reason = Literal["end of text", "stop string", "max_new_tokens", "model limit"]
_PART_OF_A_CHARACTER = "\ufffd"
"""What the bytes of a character decode to while some of them are still to come."""


class Continuation:
    """What follows a prompt.

    `room` is the number of tokens that the model can still read after the prompt; one of `end_ids` ends the text.
    """

    def __init__(
        self, tokenizer: Tokenizer, prompt_ids: Sequence[int], settings: GenerationSettings, *, room: int, end_ids: Collection[int]
    ) -> None:
        self.ids: list[int] = []
        """All tokens that were added, the one that ended the text included."""
        self.reason: Reason | None = None
        """Why the text ended; None while it goes on."""
        self._tokenizer, self._prompt_ids, self._settings = tokenizer, list(prompt_ids), settings
        self._room, self._end_ids = room, frozenset(end_ids)
        self._skipped = len(tokenizer.decode(self._prompt_ids))
        self._given = 0
        self._end: int | None = None

    def add(self, token: int) -> None:
        """The next token; sets `reason` where it is the last one."""
        assert self.reason is None, "the text has ended"
        self.ids.append(token)
        if token in self._end_ids:
            self.reason = "end of text"
        elif self._settings.stop and (places := self._stops()):
            self._end, self.reason = min(places), "stop string"
        elif len(self.ids) >= self._settings.max_new_tokens:
            self.reason = "max_new_tokens"
        elif len(self.ids) >= self._room:
            self.reason = "model limit"

    @property
    def text(self) -> str:
        """The text so far, without the prompt and without the stop string that ended it."""
        return self._decoded()[: self._end]

    def piece(self) -> str:
        """The part of the text that has become certain since the last call: no bytes of an unfinished character, and nothing
        that may turn out to begin a stop string."""
        text = self.text
        certain = len(text) if self.reason is not None else len(text.rstrip(_PART_OF_A_CHARACTER))
        if self.reason is None:
            certain -= _beginning_of(self._settings.stop, text[:certain])
        piece, self._given = text[self._given : certain], max(self._given, certain)
        return piece

    def _stops(self) -> list[int]:
        text = self._decoded()
        return [place for stop in self._settings.stop if (place := text.find(stop)) >= 0]

    def _decoded(self) -> str:
        # with the prompt before it, since a vocabulary may write a word's first token otherwise at the beginning of a text
        ids = self.ids[:-1] if self.reason == "end of text" else self.ids
        return self._tokenizer.decode([*self._prompt_ids, *ids])[self._skipped :]


def _beginning_of(stops: Sequence[str], text: str) -> int:
    """How many characters at the end of a text are the beginning of a stop string.

    >>> _beginning_of(["###"], "a text ##"), _beginning_of(["###"], "a text")
    (2, 0)
    """
    return max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
