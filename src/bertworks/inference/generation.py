"""Letting texts go on: prompts of unequal lengths in one batch, packed, each a token a step until all have ended."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Int, UInt64

from bertworks.batch import Array, PackedBatch
from bertworks.data.counter import uniform
from bertworks.data.sampler import cut_by_tokens
from bertworks.inference.continuation import Continuation
from bertworks.inference.memory import TokenBudget
from bertworks.inference.sampling import GenerationSettings, choose_tokens
from bertworks.nn.cache import KeyValueCache
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model

Prompt = Int[Array, "prompt_tokens"]


class RunningBatch:
    """Sequences that a language model continues; those that have ended can be let go."""

    def __init__(
        self,
        model: Model,
        head: str,
        prompts: Sequence[Prompt],
        settings: GenerationSettings,
        streams: UInt64[Array, "sequences"],
        *,
        device: torch.device,
        vocabulary: int,
    ) -> None:
        """`streams` names the random numbers of each sequence (`streams_of`); `vocabulary` is the number of ids that the
        tokenizer has, which may be less than the model scores."""
        assert all(layer.attention.causal for layer in model.spec.layers), "only a causal model continues a text"
        self._model, self._head, self._settings, self._device, self._vocabulary = model, head, settings, device, vocabulary
        self._new: list[Prompt] = list(prompts)
        self._streams, self._step = streams, 0
        self._cache = KeyValueCache(len(model.spec.layers))

    @torch.inference_mode()
    def step(self) -> list[int]:
        """The next token of each sequence."""
        batch = PackedBatch.from_sequences(self._new)
        if self._step:
            batch = replace(batch, position_ids=batch.position_ids + np.repeat(self._cache.lengths, batch.lengths))
        inputs = replace(model_inputs(batch, self._device), cache=self._cache)
        scores = self._model.next_scores(inputs, self._head)[:, : self._vocabulary]
        draws = torch.from_numpy(uniform(self._settings.seed, self._streams, self._step))
        scores = scores.cpu() if self._device.type == "mps" else scores  # which has no float64
        tokens: list[int] = choose_tokens(scores, self._settings, draws.to(scores.device)).tolist()
        self._new = [np.array([token]) for token in tokens]
        self._step += 1
        return tokens

    def keep(self, sequences: Sequence[int]) -> None:
        """Lets all sequences go but these, which are numbered anew in the order given."""
        self._new = [self._new[i] for i in sequences]
        self._streams = self._streams[list(sequences)]
        self._cache.keep(sequences)


def streams_of(prompts: Sequence[Prompt]) -> UInt64[Array, "sequences"]:
    """A name for the random numbers of each prompt: a hash of its tokens and of how often it stood before in the list. So
    what is drawn for a prompt does not depend on the others, and the same prompt twice goes on in two ways.
    """
    seen: Counter[bytes] = Counter()
    names = []
    for prompt in prompts:
        tokens = np.asarray(prompt, dtype="<i8").tobytes()
        names.append(hashlib.blake2b(tokens, digest_size=8, salt=seen[tokens].to_bytes(16, "little")).digest())
        seen[tokens] += 1
    return np.frombuffer(b"".join(names), dtype="<u8").astype(np.uint64)


def run(
    model: Model,
    head: str,
    prompts: Sequence[Prompt],
    continuations: Sequence[Continuation],
    settings: GenerationSettings,
    streams: UInt64[Array, "sequences"],
    *,
    device: torch.device,
    vocabulary: int,
) -> Iterator[None]:
    """Lets all continuations grow together until each has ended; yields after each step. For the arguments see
    `RunningBatch`."""
    batch = RunningBatch(model, head, prompts, settings, streams, device=device, vocabulary=vocabulary)
    live = list(continuations)
    while live:
        for continuation, token in zip(live, batch.step(), strict=True):
            continuation.add(token)
        going_on = [i for i, continuation in enumerate(live) if continuation.reason is None]
        if len(going_on) < len(live):
            batch.keep(going_on)
            live = [live[i] for i in going_on]
        yield


def run_all(
    model: Model,
    head: str,
    prompts: Sequence[Prompt],
    begin: Callable[[int], Continuation],
    settings: GenerationSettings,
    *,
    device: torch.device,
    token_budget: int | TokenBudget,
    vocabulary: int,
) -> list[Continuation]:
    """The finished continuations of any number of prompts, computed in batches whose texts have `token_budget` tokens at
    most; where memory runs out the budget is halved, and that is told (see `TokenBudget`).

    `begin` makes the continuation of a prompt, by its number, with nothing in it.
    """
    budget = token_budget if isinstance(token_budget, TokenBudget) else TokenBudget(token_budget)
    streams, limit = streams_of(prompts), model.spec.max_tokens
    lengths = np.array([min(len(prompt) + settings.max_new_tokens, limit) for prompt in prompts], dtype=np.int64)
    done: dict[int, Continuation] = {}

    def work(chosen: Int[Array, "chosen"], tokens: int) -> None:
        for part in (chosen[some] for some in cut_by_tokens(lengths[chosen], tokens)):
            own = {number: begin(number) for number in part.tolist()}
            steps = run(
                model, head, [prompts[i] for i in own], list(own.values()), settings, streams[part], device=device, vocabulary=vocabulary
            )
            for _ in steps:
                pass
            done.update(own)

    for chosen in cut_by_tokens(lengths, budget.tokens):
        budget.compute(partial(work, chosen))
    return [done[i] for i in range(len(prompts))]
