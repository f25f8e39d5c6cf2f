"""Replaced-token detection against a slow and obvious way: two models of `transformers`, one sequence at a time, and a draw made
number by number. Faults planted in ours must not pass."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, log, log1p, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bertworks.batch import Array, PackedBatch
from bertworks.data.counter import mixed
from bertworks.inference import LoadedModel, load_model
from bertworks.nn import replaced_tokens
from bertworks.nn.inputs import ModelInputs, model_inputs
from bertworks.nn.replaced_tokens import ReplacedTokens
from bertworks.tasks.masked_lm import MASKED_LM, MaskedLM
from bertworks.tasks.masking import IGNORED, Masking
from bertworks.tasks.pretraining import Pretraining
from bertworks.tasks.replaced_tokens import REPLACED_TOKEN_DETECTION, ReplacedTokenDetection
from bertworks.tokenization import Tokenizer
from bertworks.training.steps import Step, StepLoss
from tests.reference.comparison import randomize, untied

CPU = torch.device("cpu")
SEED, WEIGHT = 11, 50.0
FREQUENT = 5
"""Texts are made of so many words, which the generator prefers: so it sometimes draws what stood there."""
LENGTHS = (11, 23, 5, 17, 17, 9)
SIZES = {"num_hidden_layers": 2, "embedding_size": 14, "max_position_embeddings": 40, "layer_norm_eps": 0.01}
SIZES |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@dataclass
class Pair:
    """A discriminator and a generator, in both implementations."""

    discriminator: LoadedModel
    generator: LoadedModel
    model: ReplacedTokens
    theirs: tuple[Any, Any]
    """Discriminator and generator of `transformers`; their embeddings are one module."""
    ordinary: Array


@pytest.fixture
def pair(tiny_tokenizer: Tokenizer, tmp_path: Path) -> Pair:
    transformers = pytest.importorskip("transformers")
    vocabulary = tiny_tokenizer.vocabulary_size + 5  # the last ids stand for no token
    settings = {**SIZES, "vocab_size": vocabulary}
    wide = transformers.ElectraConfig(**settings, hidden_size=30, num_attention_heads=3, intermediate_size=40)
    narrow = transformers.ElectraConfig(**settings, hidden_size=10, num_attention_heads=2, intermediate_size=18)
    theirs = transformers.ElectraForPreTraining(wide).eval(), transformers.ElectraForMaskedLM(narrow).eval()
    for model in theirs:
        randomize(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= 0.5  # a generator that is not sure of anything
    ordinary = np.setdiff1d(np.arange(tiny_tokenizer.vocabulary_size), list(tiny_tokenizer.special_ids))
    with torch.no_grad():
        theirs[1].generator_lm_head.bias[:] = 4.0  # what must not be drawn is probable, too
        theirs[1].generator_lm_head.bias[ordinary[FREQUENT:]] = 0.0
    theirs[1].electra.embeddings = theirs[0].electra.embeddings
    theirs[1].generator_lm_head.weight = theirs[0].electra.embeddings.word_embeddings.weight
    for model, name in zip(theirs, ("discriminator", "generator"), strict=True):
        model.save_pretrained(tmp_path / name)
    discriminator = load_model(tmp_path / "discriminator", {REPLACED_TOKEN_DETECTION: ("replaced_token_detection", 1)})
    generator = load_model(tmp_path / "generator", {MASKED_LM: ("masked_lm", vocabulary)})
    model = ReplacedTokens(discriminator.model, generator.model, REPLACED_TOKEN_DETECTION, ordinary)
    return Pair(discriminator, generator, model, theirs, ordinary)


def task_of(tokenizer: Tokenizer, vocabulary: int) -> Pretraining:
    masked = MaskedLM(tokenizer, Masking(rate=0.3, seed=SEED), vocabulary=vocabulary)
    return Pretraining([masked, ReplacedTokenDetection(SEED, WEIGHT)])


def make_batch(tokenizer: Tokenizer, ordinary: Array) -> PackedBatch:
    """Texts of two segments; id 0 is in none, whose gradient the reference leaves out as that of padding."""
    draws = np.random.default_rng(2)
    ids = [np.array([tokenizer.cls_id, *draws.choice(ordinary[:FREQUENT], n - 2), tokenizer.sep_id]) for n in LENGTHS]
    segments = [(np.arange(n) > n // 2).astype(np.int64) for n in LENGTHS]
    return PackedBatch.from_sequences(ids, segments, keys=[7, 2, 90, 1, 3, 4])


# ---- the slow way

_BITS = (1 << 64) - 1


def hashed(key: int, column: int) -> int:
    """SplitMix64 (Steele et al. 2014), by whole numbers of any size."""
    x = (key + (column + 1) * 0x9E3779B97F4A7C15) & _BITS
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _BITS
    return x ^ (x >> 31)


def gumbel(key: int, column: int) -> float:
    return -log(-log1p(-((hashed(key, column) & (_BITS >> 1) | 1) / 2**63)))


def slow_draw(scores: list[float], key: int, ordinary: set[int]) -> int:
    """A block of √vocabulary ids, then an id in it."""
    size = ceil(sqrt(len(scores)))
    blocks = [range(start, min(start + size, len(scores))) for start in range(0, len(scores), size)]
    sums = [sum(np.exp(scores[i]) for i in block if i in ordinary) for block in blocks]
    best = max((i for i, total in enumerate(sums) if total > 0), key=lambda i: log(sums[i]) + gumbel(key, i))
    return max((i for i in blocks[best] if i in ordinary), key=lambda i: scores[i] + gumbel(key, len(blocks) + i - blocks[best].start))


def slow_loss(pair: Pair, true_ids: Array, batch: PackedBatch) -> tuple[Tensor, Tensor, list[int], list[int]]:
    """The sum of both losses, each divided by its count; the detector's scores; the ids that the discriminator reads, and what it
    is to say of them."""
    discriminator, generator = pair.theirs
    targets = batch.token_targets[MASKED_LM]
    words, told, read, labels = [], [], [], []
    for sequence, (start, stop) in enumerate(zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True)):
        segments = torch.from_numpy(batch.segment_ids[None, start:stop])
        logits = generator(input_ids=torch.from_numpy(batch.input_ids[None, start:stop]), token_type_ids=segments).logits[0]
        ids = true_ids[start:stop].tolist()
        for place in np.flatnonzero(targets[start:stop] != IGNORED).tolist():
            true = int(targets[start + place])
            words.append(-logits[place].log_softmax(0)[true])
            key = int(mixed(SEED, 4, batch.keys[sequence], place))
            ids[place] = slow_draw(logits[place].double().tolist(), key, set(pair.ordinary.tolist()))
        scores = discriminator(input_ids=torch.tensor([ids]), token_type_ids=segments).logits[0]
        marks = [int(a != b) for a, b in zip(ids, true_ids[start:stop].tolist(), strict=True)]
        told.append(scores)
        read += ids
        labels += marks
    said = torch.cat(told)
    wanted = torch.tensor(labels, dtype=said.dtype)
    detection = -(wanted * torch.sigmoid(said).log() + (1 - wanted) * torch.sigmoid(-said).log()).mean()
    return torch.stack(words).mean() + WEIGHT * detection, said.detach(), read, labels


# ---- the comparison


def differences(pair: Pair, tokenizer: Tokenizer, read: list[ModelInputs]) -> list[str]:
    """What is not as in the slow way."""
    vocabulary = pair.model.spec.embedding.vocabulary
    plain = make_batch(tokenizer, pair.ordinary)
    task = task_of(tokenizer, vocabulary)
    batch = task.prepare(plain, np.ones(plain.tokens, dtype=bool))
    for model in pair.theirs:
        model.double().zero_grad()
    loss, said, ids, labels = slow_loss(pair, plain.input_ids, batch)
    loss.backward()
    wanted = float(loss.detach())
    assert 0 < sum(labels) < (batch.token_targets[MASKED_LM] != IGNORED).sum(), "or a draw that is the true token is not tested"

    losses, inputs = StepLoss(pair.model, task, CPU), model_inputs(batch, CPU)
    step = Step(0, 10_000, [inputs])
    ours = losses.backward(step, losses.counts(step))
    with torch.no_grad():
        told = pair.model(inputs)[REPLACED_TOKEN_DETECTION]
    problems = [] if losses.counts(step)[1] == plain.tokens else ["the count is not that of all tokens"]
    problems += [] if told[:, 1].tolist() == labels else ["other tokens are said to be replaced"]
    problems += [] if read[-1].input_ids.tolist() == ids else ["the discriminator reads other tokens"]
    problems += [] if (told[:, 0] - said).abs().max() < 1e-4 else ["the discriminator's scores differ"]
    problems += [] if abs(ours - wanted) < 1e-5 * wanted else [f"the loss is {ours}, not {wanted}"]
    for loaded, model in ((pair.discriminator, pair.theirs[0]), (pair.generator, pair.theirs[1])):
        own = {name: p.grad.numpy() for name, p in loaded.model.named_parameters() if p.grad is not None}
        theirs = untied(loaded, {name: p.grad for name, p in model.named_parameters(remove_duplicate=False)})
        for name, values in loaded.table.save(own).items():
            largest = max(1e-3, float(theirs[name].abs().max()))
            error = float((torch.from_numpy(values) - theirs[name]).abs().max())
            problems += [] if error < 1e-4 * largest else [f"gradient of {name}: {error:.2g} of {largest:.2g}"]
    return problems


@pytest.fixture
def read(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> list[ModelInputs]:
    """What the discriminator's encoder was given."""
    given: list[ModelInputs] = []
    encoder = pair.model.encoder
    real = encoder.forward

    def forward(inputs: ModelInputs, **options: Any) -> Any:
        given.append(inputs)
        return real(inputs, **options)

    monkeypatch.setattr(encoder, "forward", forward)
    return given


def test_losses_and_gradients_are_those_of_the_slow_way(pair: Pair, tiny_tokenizer: Tokenizer, read: list[ModelInputs]) -> None:
    assert differences(pair, tiny_tokenizer, read) == []
    shared = pair.model.encoder.embeddings
    assert pair.generator.model.encoder.embeddings is shared, "the gradients above are those of both"
    names = [name for name, _ in pair.model.named_parameters()]
    assert len([name for name in names if "embeddings" in name]) == 5
    assert "generator.encoder.projection.weight" in names


def _labels_flipped(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pair.model.forward

    def forward(inputs: ModelInputs) -> dict[str, Tensor]:
        scores = real(inputs)
        said, wanted = scores[REPLACED_TOKEN_DETECTION].unbind(1)
        return {**scores, REPLACED_TOKEN_DETECTION: torch.stack([said, 1 - wanted], 1)}

    monkeypatch.setattr(pair.model, "forward", forward)


def _most_probable(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaced_tokens, "draw", lambda scores, keys, penalty: (scores + penalty).argmax(1))


def _special_tokens_drawn(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.model.get_buffer("penalty").zero_()


def _own_embeddings(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = pair.model.generator.spec
    own = type(pair.model.encoder.embeddings)(spec.embedding)
    own.load_state_dict(pair.model.encoder.embeddings.state_dict())
    pair.model.generator.encoder.embeddings = own


def _discriminator_reads_masks(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = pair.model.encoder
    seen: list[Tensor] = []
    generator, real = pair.model.generator.encoder.forward, encoder.forward

    def of_generator(inputs: ModelInputs, **options: Any) -> Any:
        seen.append(inputs.input_ids)
        return generator(inputs, **options)

    monkeypatch.setattr(pair.model.generator.encoder, "forward", of_generator)
    monkeypatch.setattr(encoder, "forward", lambda inputs, **options: real(replace(inputs, input_ids=seen[-1]), **options))


def _keys_of_another_seed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    real = replaced_tokens.draw
    monkeypatch.setattr(replaced_tokens, "draw", lambda scores, keys, penalty: real(scores, keys + 1, penalty))


FAULTS = [_labels_flipped, _most_probable, _special_tokens_drawn, _own_embeddings, _discriminator_reads_masks, _keys_of_another_seed]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
def test_planted_faults_are_seen(
    fault: Callable[[Pair, pytest.MonkeyPatch], None],
    pair: Pair,
    tiny_tokenizer: Tokenizer,
    read: list[ModelInputs],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(pair, monkeypatch)
    assert differences(pair, tiny_tokenizer, read)
