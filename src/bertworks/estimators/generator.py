"""`TextGenerator`: a causal language model that continues texts, and says how probable a text is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Int

from bertworks.architectures import read_description
from bertworks.batch import Array, PackedBatch
from bertworks.checkpoints.hub import resolve
from bertworks.errors import CheckpointError, DataError, SettingsError, nearest
from bertworks.estimators.rows import text_rows
from bertworks.estimators.stored_task import check_fit
from bertworks.evaluation.language_model import MaskedLanguageModelMetrics
from bertworks.inference import load_model, score
from bertworks.inference.continuation import Continuation, Reason
from bertworks.inference.generation import run, run_all, streams_of
from bertworks.inference.sampling import GenerationSettings
from bertworks.nn.heads import IGNORED
from bertworks.nn.machine import Precision, choose
from bertworks.tokenization import Tokenizer

_HEAD = "next_token"
_OTHER_TASKS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


@dataclass(frozen=True)
class Generated:
    """What a model made of a prompt."""

    prompt: str
    text: str
    """What follows the prompt, without the stop string or end-of-text token that ended it."""
    ids: list[int]
    """The ids of all tokens that were added, those that ended the text included."""
    tokens: list[str]
    """The same as the vocabulary spells them."""
    prompt_tokens: int
    reason: Reason
    """Why the text ended: "end of text" (the model said so), "stop string", "max_new_tokens", or "model limit" (the model
    reads no longer text)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return dict(vars(self))


class TextStream(Iterator[str]):
    """The pieces of a text as they become certain; joined, they are the text."""

    def __init__(self, pieces: Iterator[str], generated: Callable[[], Generated]) -> None:
        self._pieces, self._generated = pieces, generated

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def generated(self) -> Generated:
        """The whole, once all pieces were taken. Raises `SettingsError` before."""
        return self._generated()


class TextGenerator:
    """A pretrained causal language model (GPT-2): prompts in, texts out.

    >>> from bertworks import TextGenerator
    >>> generator = TextGenerator("gpt2", precision="float32")  # doctest: +SKIP
    >>> generator.generate("The capital of France is", max_new_tokens=8, temperature=0).text  # doctest: +SKIP
    ' the capital of the French Republic, and'
    """

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
    ) -> None:
        """Loads a model folder or a hub name. Raises `CheckpointError` where that fails, or the model continues no text."""
        folder = resolve(model, revision=revision)
        config, architecture, spec = read_description(folder)
        if "causal_lm" not in architecture.heads:
            raise CheckpointError(f"{folder} is an encoder ({architecture.name}), which reads a text from both sides and continues none")
        classes = config.get("architectures")
        names = [str(name) for name in classes] if isinstance(classes, list) else []
        other = next((name for name in names if name.endswith(_OTHER_TASKS)), None)
        if other is not None:
            raise CheckpointError(f"{folder} was trained for another task ({other:.60}): name the language model that it began as")
        self.machine = choose(device, precision, threads=threads, training=False)
        self._loaded = load_model(folder, {_HEAD: ("causal_lm", spec.embedding.vocabulary)})
        self.tokenizer = Tokenizer.load(folder)
        check_fit(folder, self._loaded, self.tokenizer)
        self.loading_report = self._loaded.report
        stored = config.get("eos_token_id")
        ends = [self.tokenizer.end_id, *(stored if isinstance(stored, list) else [stored])]
        self._end_ids = {number for number in ends if isinstance(number, int)}

    @property
    def max_tokens(self) -> int:
        """The longest text that the model reads, prompt and continuation together."""
        return self._loaded.model.spec.max_tokens

    @overload
    def generate(self, prompts: str, **settings: Any) -> Generated: ...
    @overload
    def generate(self, prompts: Iterable[str], **settings: Any) -> list[Generated]: ...
    def generate(self, prompts: str | Iterable[str], **settings: Any) -> Generated | list[Generated]:
        """Continues a prompt, or many at once, whatever their lengths.

        Settings are the fields of `GenerationSettings`: `max_new_tokens`, `temperature` (0 takes the most probable token),
        `top_k`, `top_p`, `seed`, and `stop`, a text or several before the first of which to end. What is drawn for a prompt
        depends on the seed and the prompt, not on the others; the same prompt twice in a list gives two texts.

        An empty prompt begins with the vocabulary's begin-of-text token. Raises `SettingsError` for wrong settings,
        `DataError` for a prompt that leaves the model no room.
        """
        chosen = _settings(settings)
        texts = [prompts] if isinstance(prompts, str) else text_rows(prompts)
        ids = self._encode(texts)
        done = run_all(
            self._model(),
            _HEAD,
            ids,
            lambda number: self._begin(ids[number], chosen),
            chosen,
            device=self.machine.torch_device,
            token_budget=self.machine.token_budget,
            vocabulary=self.tokenizer.vocabulary_size,
        )
        found = [self._generated(*of_prompt) for of_prompt in zip(texts, ids, done, strict=True)]
        return found[0] if isinstance(prompts, str) else found

    def stream(self, prompt: str, **settings: Any) -> TextStream:
        """The pieces of what `generate` gives for a prompt, each as soon as it is certain: no half characters, and nothing
        that may turn out to belong to a stop string. Raises what `generate` raises."""
        chosen = _settings(settings)
        (ids,) = self._encode([prompt])
        continuation = self._begin(ids, chosen)
        model, device, vocabulary = self._model(), self.machine.torch_device, self.tokenizer.vocabulary_size

        def pieces() -> Iterator[str]:
            for _ in run(model, _HEAD, [ids], [continuation], chosen, streams_of([ids]), device=device, vocabulary=vocabulary):
                if piece := continuation.piece():
                    yield piece

        def generated() -> Generated:
            if continuation.reason is None:
                raise SettingsError("the text is not finished: take all pieces of the stream first")
            return self._generated(prompt, ids, continuation)

        return TextStream(pieces(), generated)

    def perplexity(self, texts: str | Iterable[str]) -> float:
        """The perplexity of a text, or of several together; see `evaluate`."""
        return float(self.evaluate(texts)["perplexity"])

    def evaluate(self, texts: str | Iterable[str]) -> dict[str, Any]:
        """How well the model predicts each token of texts from those before it: `loss` (nats a token), `perplexity`,
        `accuracy`, the `tokens` predicted (all but the first of each text), and the `windows` in which they were read.

        A text longer than the model reads is read in windows that overlap by half, and each token is predicted once, in
        the first window that holds it. Raises `DataError` for a text of fewer than two tokens.
        """
        rows = self._tokenize([texts] if isinstance(texts, str) else text_rows(texts))
        windows: list[tuple[Array, Array]] = []
        for number, ids in enumerate(rows):
            if len(ids) < 2:
                raise DataError(f"text {number} has {len(ids)} tokens: two are needed, so that one can be predicted from another")
            windows += _windows(ids, self.max_tokens)
        metrics = MaskedLanguageModelMetrics()
        if windows:
            inputs, targets = zip(*windows, strict=True)
            batch = PackedBatch.from_sequences(inputs, token_targets={_HEAD: np.concatenate(targets)})
            told = score(self._model(), batch, device=self.machine.torch_device, token_budget=self.machine.token_budget)[_HEAD]
            metrics.update(np.minimum(told[:, 0], 0), told[:, 1] > 0.5)
        return {**metrics.compute(), "windows": len(windows)}

    def _model(self) -> Any:
        return self._loaded.model.to(self.machine.torch_device).compute_in(self.machine.dtype)

    def _tokenize(self, texts: Sequence[str]) -> list[Int[Array, "tokens"]]:
        """The ids of texts, with the special tokens that begin one and without those that end one; an empty text is the
        begin-of-text token."""
        begin = self.tokenizer.begin_id
        if begin is None and "" in texts:
            raise DataError("an empty text needs a begin-of-text token, which this vocabulary does not have: give some text")
        whole = [text for text in texts if text != ""]
        encoded = iter(self.tokenizer.encode_batch(whole, offsets=False))
        rows = []
        for text in texts:
            if text == "":
                rows.append(np.array([begin], dtype=np.int64))
                continue
            (sequence,) = next(encoded)
            of_text = np.flatnonzero(sequence.sequence_ids >= 0)
            rows.append(sequence.ids[: of_text[-1] + 1] if len(of_text) else sequence.ids[:0])
        return rows

    def _encode(self, prompts: Sequence[str]) -> list[Int[Array, "tokens"]]:
        rows = self._tokenize(prompts)
        for number, ids in enumerate(rows):
            if not 0 < len(ids) < self.max_tokens:
                limit = f"the model reads {self.max_tokens:,}, prompt and continuation together: shorten it"
                raise DataError(f"prompt {number} has {len(ids):,} tokens; {limit if len(ids) else 'give some text'}")
        return rows

    def _begin(self, ids: Int[Array, "tokens"], settings: GenerationSettings) -> Continuation:
        return Continuation(self.tokenizer, ids.tolist(), settings, room=self.max_tokens - len(ids), end_ids=self._end_ids)

    def _generated(self, prompt: str, ids: Int[Array, "tokens"], continuation: Continuation) -> Generated:
        assert continuation.reason is not None
        spelled = [self.tokenizer.id_to_token(number) or "" for number in continuation.ids]
        return Generated(prompt, continuation.text, continuation.ids, spelled, len(ids), continuation.reason)


def _settings(given: dict[str, Any]) -> GenerationSettings:
    known = [field.name for field in fields(GenerationSettings)]
    for name in given:
        if name not in known:
            raise SettingsError(f"generate has no setting '{name}'.{nearest(name, known)}")
    stop = given.get("stop", ())
    several = tuple(stop) if isinstance(stop, list | tuple) else (stop,)
    return GenerationSettings(**{**given, "stop": several})


def _windows(ids: Int[Array, "tokens"], limit: int) -> list[tuple[Int[Array, "window"], Int[Array, "window"]]]:
    """The windows of a text, each with the token that follows each of its own, or `IGNORED` where it was told before."""
    inputs, following = ids[:-1], ids[1:]
    windows, start, told = [], 0, 0
    while told < len(inputs):
        end = min(start + limit, len(inputs))
        targets = following[start:end].copy()
        targets[: told - start] = IGNORED
        windows.append((inputs[start:end], targets))
        told, start = end, min(start + max(1, limit // 2), max(0, len(inputs) - limit))
    return windows
