"""A growing text: its certain pieces, its stop strings, and why it ends."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.inference.continuation import Continuation
from bertworks.inference.sampling import GenerationSettings
from bertworks.tokenization import Tokenizer
from tests.tiny_gpt2 import tiny_tokenizer

BYTE_LEVEL = tiny_tokenizer()


def continuation(prompt: str = "the film", *, room: int = 10**6, tokenizer: Tokenizer = BYTE_LEVEL, **chosen: Any) -> Continuation:
    ids = tokenizer.encode(prompt).ids.tolist() if prompt else []
    end = {tokenizer.end_id} if tokenizer.end_id is not None else set()
    return Continuation(tokenizer, ids, GenerationSettings(**{"max_new_tokens": 10**6, **chosen}), room=room, end_ids=end)


def grow(own: Continuation, tokens: list[int]) -> list[str]:
    pieces = []
    for token in tokens:
        own.add(token)
        pieces.append(own.piece())
        if own.reason is not None:
            break
    return pieces


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), prompt=st.sampled_from(["", "the film", "é"]))
def test_pieces_are_whole_characters_and_make_the_text(text: str, prompt: str) -> None:
    ids = BYTE_LEVEL.encode(text).ids.tolist()
    own = continuation(prompt, max_new_tokens=len(ids))
    pieces = grow(own, ids)
    assert "".join(pieces) == own.text == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


@settings(max_examples=150, deadline=None)
@given(ids=st.lists(st.integers(0, 255), min_size=1, max_size=30))
def test_bytes_that_are_no_text_are_shown_as_such(ids: list[int]) -> None:
    own = continuation(max_new_tokens=len(ids))
    assert "".join(grow(own, ids)) == own.text == BYTE_LEVEL.decode(ids)


@settings(max_examples=200, deadline=None)
@given(text=st.text("ab#", min_size=1, max_size=25), stops=st.lists(st.text("ab#", min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_text_ends_before_its_first_stop_string(text: str, stops: list[str]) -> None:
    own = continuation(stop=tuple(stops), max_new_tokens=len(text))
    pieces = grow(own, BYTE_LEVEL.encode(text).ids.tolist())
    # the slow way: the text that ends first, and where several end together, the one that begins first
    for end in range(1, len(text) + 1):
        begins = [text[:end].find(stop) for stop in stops if stop in text[:end]]
        if begins:
            assert (own.text, own.reason, len(own.ids)) == (text[: min(begins)], "stop string", end)
            break
    else:
        assert (own.text, own.reason) == (text, "max_new_tokens")
    assert "".join(pieces) == own.text  # what was given out was never taken back


def test_a_stop_string_over_several_tokens_and_characters_of_several_bytes() -> None:
    own = continuation(stop=("→é",))
    assert "".join(grow(own, BYTE_LEVEL.encode("a → é →é and on").ids.tolist())) == own.text == "a → é "
    assert own.reason == "stop string"


def test_a_stop_string_of_the_prompt_is_none() -> None:
    own = continuation("the end", stop=("end", "d good"), max_new_tokens=2)
    grow(own, BYTE_LEVEL.encode(" good film").ids.tolist())
    assert (own.text, own.reason) == (" good film", "max_new_tokens")


def test_reasons() -> None:
    good, end = BYTE_LEVEL.encode(" good").ids.tolist()[0], BYTE_LEVEL.end_id
    assert end is not None
    cases: list[tuple[dict[str, Any], list[int], str, str, int]] = [
        ({}, [good, good, end, good], " good good", "end of text", 3),
        ({"max_new_tokens": 2}, [good] * 5, " good good", "max_new_tokens", 2),
        ({"room": 3}, [good] * 5, " good good good", "model limit", 3),
        ({"room": 2, "max_new_tokens": 2}, [good] * 5, " good good", "max_new_tokens", 2),
        ({"stop": ("d g",)}, [good] * 5, " goo", "stop string", 2),
        ({"max_new_tokens": 1}, [end], "", "end of text", 1),
    ]
    for options, ids, text, reason, count in cases:
        own = continuation(**options)
        assert own.reason is None
        grow(own, ids)
        assert (own.text, own.reason, len(own.ids)) == (text, reason, count)
        with pytest.raises(AssertionError):
            own.add(good)


def test_vocabularies_that_write_spaces_otherwise(tiny_tokenizer: Tokenizer) -> None:
    """WordPiece has no token for the space between words: it belongs to the text all the same."""
    own = continuation("the film", tokenizer=tiny_tokenizer, max_new_tokens=3)
    own._prompt_ids = tiny_tokenizer.encode("the film").ids.tolist()[:-1]
    pieces = grow(own, tiny_tokenizer.encode("was good xyz").ids.tolist()[1:-1])
    assert "".join(pieces) == own.text == " was good x"
