"""Which tokens of a text that is too long are read together: windows and truncation, as spans of token numbers.

Nothing here knows a tokenizer: lengths go in, spans come out. `room` is the number of tokens that the texts of
one sequence may take, special tokens not counted.
"""

from collections.abc import Sequence
from typing import Literal

Overflow = Literal["window", "head_tail", "truncate", "error"]
"""What is done with a text beyond the limit: read it all in overlapping windows, keep its head and its tail,
keep its head, or refuse."""

Span = tuple[int, int]
"""First token and the one after the last."""

Selection = tuple[Span, ...]
"""What is read of one text, in one sequence."""


def select(lengths: Sequence[int], room: int, overflow: Overflow, stride: int | None = None) -> list[tuple[Selection, ...]]:
    """What each sequence made of a row reads: an entry per sequence, in it a selection per text.

    `lengths` are the tokens of the row's one or two texts, `stride` the overlap of two windows in tokens (a
    quarter of a text's room where it is None). A row that fits is one sequence. `overflow` is one of `window`,
    `head_tail` and `truncate`; the other texts of a row that must be refused are the caller's to refuse.

    >>> select([10], 6, "window", 2)
    [(((0, 6),),), (((4, 10),),)]
    >>> select([10], 6, "head_tail")
    [(((0, 2), (6, 10)),)]
    """
    if sum(lengths) <= room:
        return [tuple(((0, length),) for length in lengths)]
    if overflow != "window":
        budgets = [room] if len(lengths) == 1 else longest_first(lengths[0], lengths[1], room)
        return [tuple(_kept(length, budget, overflow) for length, budget in zip(lengths, budgets, strict=True))]
    if len(lengths) == 1:
        return [((span,),) for span in text_windows(lengths[0], room, stride)]
    return pair_windows(lengths[0], lengths[1], room, stride)


def text_windows(length: int, room: int, stride: int | None = None) -> list[Span]:
    """The fewest windows of at most `room` tokens that hold every token and overlap by at least `stride`.

    Every window but the last begins `room - stride` after the one before; the last is shifted back so that it is
    full and ends where the text ends. A stride of `room` or more would never move on: it is taken as `room - 1`.

    >>> text_windows(11, 6, 2)
    [(0, 6), (4, 10), (5, 11)]
    """
    if length <= room:
        return [(0, length)]
    step = room - _overlap(room, stride)
    starts = [*range(0, length - room, step), length - room]
    return [(start, start + room) for start in starts]


def pair_windows(first: int, second: int, room: int, stride: int | None = None) -> list[tuple[Selection, ...]]:
    """Windows over two texts that do not fit together; every token of both stands in at least one.

    Where the shorter text takes at most half of the room, it is whole in every window and the longer one is
    windowed in what is left. Otherwise both are windowed in step: each gets a share of the room proportional to
    its length (a quarter at least), both get as many windows as the one that needs more, and these are spread
    evenly from each text's beginning to its end, so that a window shows about the same part of both.
    A stride of more than half of a text's share is taken as half, for the share depends on the row.

    >>> pair_windows(2, 10, 8, 2)
    [(((0, 2),), ((0, 6),)), (((0, 2),), ((4, 10),))]
    """
    lengths = (first, second)
    short = 0 if first <= second else 1
    if lengths[short] <= room // 2:
        share = room - lengths[short]
        spans = text_windows(lengths[1 - short], share, _capped(share, stride))
        whole: Selection = ((0, lengths[short]),)
        return [(whole, (span,)) if short == 0 else ((span,), whole) for span in spans]
    least = max(1, room // 4)
    share = min(max(round(room * first / (first + second)), least), room - least)
    shares = (share, room - share)
    number = max(len(text_windows(length, part, _capped(part, stride))) for length, part in zip(lengths, shares, strict=True))
    firsts, seconds = (_spread(length, part, number) for length, part in zip(lengths, shares, strict=True))
    return [((one,), (other,)) for one, other in zip(firsts, seconds, strict=True)]


def longest_first(first: int, second: int, room: int) -> list[int]:
    """Tokens kept of each of two texts when tokens are taken from the longer one until both fit.

    The result is that of `longest_first` in transformers: of two texts that both lose tokens each keeps half, and
    an odd token goes to the longer one (the second, where they are equally long).

    >>> longest_first(3, 20, 10), longest_first(20, 20, 11)
    ([3, 7], [5, 6])
    """
    short, long = min(first, second), max(first, second)
    if short + long > room:
        short, long = (short, room - short) if short <= room // 2 else (room // 2, room - room // 2)
    return [short, long] if first <= second else [long, short]


def _kept(length: int, budget: int, overflow: Overflow) -> Selection:
    """The head, or the first quarter and the last three quarters: 128 + 382 of 510, the best of the truncations
    that Sun et al. 2019 compare ("How to Fine-Tune BERT for Text Classification?", section 5.3.1)."""
    if length <= budget or overflow == "truncate":
        return ((0, min(length, budget)),)
    head = (budget + 2) // 4
    return ((0, head), (length - (budget - head), length))


def _overlap(room: int, stride: int | None) -> int:
    return min(room // 4 if stride is None else stride, room - 1)


def _capped(room: int, stride: int | None) -> int | None:
    return None if stride is None else min(stride, room // 2)


def _spread(length: int, room: int, number: int) -> list[Span]:
    if length <= room:
        return [(0, length)] * number
    last = length - room
    starts = [round(index * last / (number - 1)) for index in range(number)]
    return [(start, start + room) for start in starts]
