"""Memory that does not suffice: what is computed at once is halved, that is told, and the work is done again."""

import gc
import re
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from bertworks.errors import SettingsError

Result = TypeVar("Result")

_SIGNS = re.compile(
    "out of memory|not enough memory|can't allocate memory|std::bad_alloc|ALLOC_FAILED|could not create a primitive(?! descriptor)"
)
"""In the messages of PyTorch's errors that have no class of their own: of the CPU, of Apple's GPUs, of cuBLAS, of oneDNN …"""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in PyTorch (on any device), NumPy or Python."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _SIGNS.search(str(error)) is not None


def reason_of(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


class MemoryExhaustedError(SettingsError):
    """Memory does not suffice for the token budget, nor for half of it."""


class TokenBudget:
    """The most tokens that are computed at once, in `tokens`; halved, once, where memory runs out.

    So it is for work whose result is the same however it is cut: scores are, and gradients, which are sums (up to
    rounding). `tell` gets a line when it happens; by default Python's warnings do.
    """

    def __init__(self, tokens: int, tell: Callable[[str], None] | None = None) -> None:
        self.tokens = tokens
        self._asked = tokens
        self._tell = tell or _warn

    def compute(self, work: Callable[[int], Result]) -> Result:
        """`work(tokens)`; where memory runs out, once more, from its start, with half as many.

        Raises `MemoryExhaustedError` where they are too many still.
        """
        while True:
            try:
                return work(self.tokens)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.tokens < self._asked or self.tokens == 1:
                    raise MemoryExhaustedError(self._explain(error)) from error
            # only here is the failed attempt gone, with the tensors that its frames held
            free_unused_memory()
            self.tokens //= 2
            self._tell(f"memory ran out at {self._asked:,} tokens at once: at most {self.tokens:,} from here on (token_budget)")

    def _explain(self, error: Exception) -> str:
        halved = f", half of {self._asked:,} already" if self.tokens < self._asked else ""
        remedy = "Set token_budget lower, shorten the sequences with max_tokens, or free memory of this device"
        return f"memory does not suffice for {self.tokens:,} tokens at once{halved} ({reason_of(error)}). {remedy}"


def free_unused_memory() -> None:
    """Hands back what Python and the GPU's allocator hold and do not use."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)
