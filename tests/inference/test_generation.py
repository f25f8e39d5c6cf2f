"""Prompts of unequal lengths in one batch: each goes on as it does alone, whatever the others do."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.inference import LoadedModel
from bertworks.inference import generation as room
from bertworks.inference.continuation import Continuation
from bertworks.inference.generation import run, run_all, streams_of
from bertworks.inference.sampling import GenerationSettings
from bertworks.nn.cache import KeyValueCache
from bertworks.nn.model import Model
from bertworks.tokenization import Tokenizer

CPU = torch.device("cpu")
TEXTS = ["the film was", "a dog", "good", "the soup was cold and the bread was stale but", "a dog"]
SETTINGS = [{"temperature": 0}, {"temperature": 1.5, "top_p": None}, {"top_k": 20, "top_p": 0.9, "seed": 4}]


class Generator:
    """A model and its tokenizer, with what the functions need."""

    def __init__(self, loaded: LoadedModel, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = loaded.model, tokenizer

    def __call__(self, texts: Sequence[str], *, token_budget: int = 4096, ends: Sequence[int] = (), **chosen: Any) -> list[Continuation]:
        made = GenerationSettings(**{"max_new_tokens": 15, **chosen})
        prompts = [self.tokenizer.encode(text).ids for text in texts]

        def begin(number: int) -> Continuation:
            room_left = self.model.spec.max_tokens - len(prompts[number])
            return Continuation(self.tokenizer, prompts[number].tolist(), made, room=room_left, end_ids=ends)

        where: dict[str, Any] = {"device": CPU, "token_budget": token_budget, "vocabulary": len(self.tokenizer)}
        return run_all(self.model, "next_token", prompts, begin, made, **where)


@pytest.fixture
def generator(loaded: LoadedModel, byte_level: Tokenizer) -> Generator:
    return Generator(loaded, byte_level)


@pytest.mark.parametrize("chosen", SETTINGS)
def test_a_batch_is_one_by_one(generator: Generator, chosen: dict[str, Any]) -> None:
    together = generator(TEXTS, **chosen)
    for text, own in list(zip(TEXTS, together, strict=True))[:4]:
        (alone,) = generator([text], **chosen)
        assert alone.ids == own.ids
    backwards = generator(TEXTS[::-1], **chosen)  # of the two equal prompts, the first is still the first
    assert [backwards[i].ids for i in (4, 0, 2, 1, 3)] == [own.ids for own in together]
    assert [own.ids for own in generator(TEXTS, token_budget=30, **chosen)] == [own.ids for own in together]


def test_the_same_prompt_twice_goes_on_in_two_ways(generator: Generator) -> None:
    first, second, third = generator(["a dog"] * 3, temperature=1.5)
    assert first.ids != second.ids != third.ids != first.ids
    again, other = generator(["a dog", "good"], temperature=1.5)
    assert again.ids == first.ids
    assert other.ids != again.ids
    assert generator(["a dog"], temperature=1.5, seed=1)[0].ids != first.ids
    greedy = generator(["a dog"] * 2, temperature=0)
    assert greedy[0].ids == greedy[1].ids


def test_texts_that_end_leave_the_others_as_they_are(generator: Generator) -> None:
    """Each ends at another step: the first token of each text that no other has, is its end."""
    plain = generator(TEXTS[:4], temperature=0)
    ends = [own.ids[3 * i] for i, own in enumerate(plain)]
    stopped = generator(TEXTS[:4], temperature=0, ends=ends)
    for whole, cut in zip(plain, stopped, strict=True):
        place = min(whole.ids.index(end) for end in ends if end in whole.ids)
        assert cut.ids == whole.ids[: place + 1]
        assert cut.reason == "end of text"
    assert len({len(cut.ids) for cut in stopped}) > 1


def test_what_has_ended_is_let_go(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    real = Model.next_scores

    def counted(self: Model, inputs: Any, name: str) -> Any:
        computed.append(inputs.layout.sequences)
        assert len(inputs.input_ids) == inputs.layout.offsets[-1]
        return real(self, inputs, name)

    monkeypatch.setattr(Model, "next_scores", counted)
    own = generator(["a dog", "good"], temperature=0, max_new_tokens=6)
    ends = [own[0].ids[0]]
    computed.clear()
    first, second = generator(["a dog", "good"], temperature=0, max_new_tokens=6, ends=ends)
    assert (len(first.ids), computed) == (1, [2] + [1] * (len(second.ids) - 1))


def test_a_text_ends_where_the_model_ends(generator: Generator) -> None:
    long, short = generator(["a dog " * 20, "a dog"], temperature=0, max_new_tokens=30)
    prompt = len(generator.tokenizer.encode("a dog " * 20))
    assert (prompt + len(long.ids), long.reason) == (64, "model limit")
    assert (len(short.ids), short.reason) == (30, "max_new_tokens")


def test_ids_that_the_tokenizer_lacks_are_never_made(loaded: LoadedModel, byte_level: Tokenizer) -> None:
    made = GenerationSettings(max_new_tokens=40, temperature=3.0, top_p=None)
    prompt = byte_level.encode("a dog").ids
    own = Continuation(byte_level, prompt.tolist(), made, room=64, end_ids=())
    for _ in run(loaded.model, "next_token", [prompt], [own], made, streams_of([prompt]), device=CPU, vocabulary=9):
        pass
    assert set(own.ids) <= set(range(9))
    assert len(set(own.ids)) > 3


def test_where_memory_runs_out_half_as_much_is_computed(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [own.ids for own in generator(TEXTS, temperature=1.2)]
    real = KeyValueCache.__init__

    def scarce(self: KeyValueCache, layers: int) -> None:
        if not failed:
            failed.append(True)
            raise MemoryError
        real(self, layers)

    failed: list[bool] = []
    monkeypatch.setattr(room.KeyValueCache, "__init__", scarce)
    with pytest.warns(RuntimeWarning, match="memory ran out"):
        assert [own.ids for own in generator(TEXTS, temperature=1.2, token_budget=200)] == plain
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [own.ids for own in generator(TEXTS, temperature=1.2)] == plain


def test_only_causal_models_go_on(loaded: LoadedModel, byte_level: Tokenizer) -> None:
    from tests.nn.small import encoder, model

    with pytest.raises(AssertionError, match="causal"):
        room.RunningBatch(model(encoder()), "x", [np.array([1])], GenerationSettings(), np.zeros(1, np.uint64), device=CPU, vocabulary=9)


def test_streams_are_names_of_prompts() -> None:
    prompts = [np.array([1, 2]), np.array([3]), np.array([1, 2]), np.array([1, 2, 3])]
    names = streams_of(prompts).tolist()
    assert len(set(names)) == 4
    assert streams_of([prompts[3], prompts[0]]).tolist() == [names[3], names[0]]
    assert streams_of([prompts[0].astype(np.int32)]).tolist() == names[:1]
