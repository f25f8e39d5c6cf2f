"""What a pretrained model is worth by itself: how well it guesses hidden tokens, and whether it knows which text follows another."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from bertworks.accounting import Accounting
from bertworks.batch import PackedBatch
from bertworks.data.corpus.encoded import EncodedDocuments
from bertworks.data.corpus.plans import Pairing, SequenceSettings
from bertworks.data.corpus.sequences import every_sequence
from bertworks.data.faults import OnBadRows
from bertworks.errors import CheckpointError, DataError, SettingsError
from bertworks.estimators.pretraining.documents import Part, open_documents
from bertworks.estimators.stored_task import check_fit, read_task
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.verbs.evaluate import Counting, EvaluationReport
from bertworks.inference import LoadedModel, load_model
from bertworks.inference import evaluate as evaluate_batch
from bertworks.inference.memory import TokenBudget
from bertworks.inference.models import without_heads
from bertworks.nn.machine import MachineChoice, choose
from bertworks.nn.model import Model
from bertworks.tasks.fill_mask import FillMask
from bertworks.tasks.masked_lm import MASKED_LM, MaskedLM
from bertworks.tasks.masking import Masking
from bertworks.tasks.next_sentence import NEXT_SENTENCE, NextSentence
from bertworks.tasks.pretraining import Pretraining
from bertworks.tokenization import Tokenizer

MAX_TOKENS = 128
"""Longest sequence, special tokens included: the same for every model, so that numbers compare."""
RATE = 0.15
"""Share of the tokens that are hidden (Devlin et al. 2019, section 3.1)."""
_SEQUENCES_AT_ONCE = 1024
"""What is packed and scored at a time."""


def evaluate(
    model: str | Path,
    data: Any,
    *,
    max_tokens: int = MAX_TOKENS,
    rate: float = RATE,
    seed: int = 0,
    split: str | None = None,
    text: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: Any = "auto",
    threads: int | None = None,
    mistakes: int = 0,
    progress: Counting | None = None,
) -> EvaluationReport:
    """Evaluates a pretrained model on text: the folder of a prepared corpus (its held-out documents), files of text with a blank line
    between documents, or a table, of which each row of the column `text` is a document (`documents.open_documents`).

    Every document is cut into sequences of `max_tokens`, of whose tokens the share `rate` is hidden (Devlin et al. 2019, section
    3.1: 80 % of them by [MASK], 10 % by a random token, 10 % left as they are). Which, is a function of `seed` and of the place in
    the text: models with the same tokenizer guess the same tokens. `masked_lm_loss` is the mean loss in nats, `masked_lm_perplexity`
    its exponential, `masked_lm_accuracy` the share of hidden tokens that have the highest score, `masked_lm_tokens` their number;
    `tokens` are all tokens of the text, special ones not counted.

    Where the model has a head for it and documents have several sentences, pairs of texts are formed as in pretraining (section 3.1
    and appendix A.2 there: half of the second texts are the true ones, the others come from other documents; nothing is hidden):
    `next_sentence_accuracy`, `next_sentence_log_loss` in nats, `next_sentence_pairs`. Of a model that learnt the order of sentences
    (Lan et al. 2020, section 3.1) half of the pairs are swapped instead, and the names begin with `sentence_order`.

    `limit` is a number of documents. What is in memory does not grow with the text of plain, JSON-lines or Parquet files and of
    corpora. `mistakes` is there for the sake of other tasks. `progress` is called with the documents done, and those expected in all.

    Raises `CheckpointError` where the model has no masked-LM head, `SettingsError` for a setting that makes no sense or a length that
    the model does not read, `DataError` where there is no text.
    """
    started = time.perf_counter()
    for name, value in (("max_tokens", max_tokens), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise SettingsError(f"{name} is a whole number, 0 or more, not {value!r}")
    if isinstance(rate, bool) or not (isinstance(rate, int | float) and 0 < rate <= 1):
        raise SettingsError(f"rate is the share of the tokens that are hidden, above 0 and at most 1, not {rate!r}")
    masking = Masking(rate=rate, seed=seed)
    pretrained = _Pretrained.load(model, max_tokens)
    options: dict[str, Any] = {"split": split, "text": text, "shuffle_seed": shuffle_seed, "limit": limit, "delimiter": delimiter}
    options |= {"on_bad_rows": on_bad_rows, "encoding": encoding, "pairs": pretrained.pairing != "none"}
    documents = open_documents(data, pretrained.tokenizer, **options)
    judge = _Judge(pretrained, masking, max_tokens, choose(device, precision, threads=threads, training=False))
    for part in documents.parts():
        before = documents.read - len(part.text)
        for done in judge.read(part):
            if progress is not None:
                progress(before + round(done * len(part.text)), documents.expected)
    if not judge.tokens:
        raise DataError(f"{documents.name} holds no text to judge a model by: name another file, or another column (--text)")
    seen = replace(judge.accounting, rows=documents.rows, dropped=documents.left_out)
    metrics = {"documents": documents.usable, **judge.metrics()}
    facts = [*documents.lines(), *judge.lines(documents.unsplit)]
    return EvaluationReport("masked_lm_loss", metrics, seen, facts, [], time.perf_counter() - started)


@dataclass(frozen=True)
class _Pretrained:
    """A model with what belongs to it."""

    loaded: LoadedModel
    tokenizer: Tokenizer
    pairing: Pairing
    """The pairs that its second head judges; "none" where it has none."""

    @classmethod
    def load(cls, model: str | Path, max_tokens: int) -> Self:
        """Reads a model's folder. Raises `CheckpointError` where it has no masked-LM head, `SettingsError` where it reads no sequences
        of that length."""
        folder = model_path(model)
        task, about = read_task(folder)
        if not isinstance(task, FillMask):
            raise CheckpointError(f"{model} has no masked-LM head: it is a model for {task.name.replace('_', ' ')}")
        loaded, pairing = _with_heads(folder, task, about)
        tokenizer = Tokenizer.load(folder)
        check_fit(folder, loaded, tokenizer, task)
        limit = loaded.model.spec.max_tokens
        if max_tokens > limit:
            asked = f"max_tokens is {max_tokens:,}, but the model reads {limit:,} tokens at most"
            raise SettingsError(f"{asked}: choose as many or fewer (--max-tokens {limit})")
        if tokenizer.cls_id is None or tokenizer.sep_id is None:
            raise DataError(f"{folder}: its tokenizer has no special tokens for the beginning and the end of a text ([CLS], [SEP])")
        return cls(loaded, tokenizer, pairing)

    def without(self, head: str) -> LoadedModel:
        """The model with the other head only."""
        return self.loaded if self.pairing == "none" else without_heads(self.loaded, [head])


def _with_heads(folder: Path, task: FillMask, about: Mapping[str, Any]) -> tuple[LoadedModel, Pairing]:
    """A model with the heads of its pretraining, and what pairs the second was trained by."""
    try:
        loaded = load_model(folder, {**task.heads, NEXT_SENTENCE: ("next_sentence", 2)})
    except CheckpointError:
        return load_model(folder, task.heads), "none"  # which says what is wrong with the folder, if anything is
    learnt = about.get("pretraining", {}).get("objectives", {})
    ordered = "sentence_order" in learnt or ("next_sentence" not in learnt and loaded.architecture.name == "albert")
    return loaded, "sentence_order" if ordered else "next_sentence"


@dataclass
class _Reader:
    """A model with one head that reads sequences of a kind, and what it was right in so far."""

    model: Model
    task: Pretraining
    settings: SequenceSettings
    tokenizer: Tokenizer
    machine: MachineChoice
    sequences: int = 0

    def __post_init__(self) -> None:
        self.metrics = self.task.metrics()
        self._parts, self._budget = 0, TokenBudget(self.machine.token_budget)

    def read(self, documents: EncodedDocuments) -> Iterator[PackedBatch]:
        """Reads some documents; yields what was read, some sequences at a time."""
        start, end = self.tokenizer.cls_id, self.tokenizer.sep_id
        assert start is not None
        assert end is not None
        ends: dict[str, Any] = {"start_id": start, "end_id": end, "number": self._parts, "first_key": self.sequences}
        for batch, word_starts in every_sequence(documents.in_memory(), self.settings, at_once=_SEQUENCES_AT_ONCE, **ends):
            prepared = self.task.prepare(batch, word_starts)
            device = self.machine.torch_device
            found: Any = evaluate_batch(self.model, self.task, prepared, device=device, token_budget=self._budget)
            self.metrics.merge(found)
            self.sequences += batch.sequences
            yield batch
        self._parts += 1


class _Judge:
    """What a model guesses of hidden tokens and, where it has a head for it, of pairs."""

    def __init__(self, model: _Pretrained, masking: Masking, max_tokens: int, machine: MachineChoice) -> None:
        self.tokenizer, self.masking, self.pairing, self.max_tokens = model.tokenizer, masking, model.pairing, max_tokens
        model.loaded.model.to(machine.torch_device).compute_in(machine.dtype)
        of_words = Pretraining([MaskedLM(self.tokenizer, masking, vocabulary=model.loaded.model.spec.embedding.vocabulary)])
        whole = SequenceSettings(max_tokens, "none", 0.0, seed=masking.seed)
        self._words = _Reader(model.without(NEXT_SENTENCE).model, of_words, whole, self.tokenizer, machine)
        self._pairs: _Reader | None = None
        if self.pairing != "none":
            pairs = SequenceSettings(max_tokens, self.pairing, seed=masking.seed)
            self._pairs = _Reader(model.without(MASKED_LM).model, Pretraining([NextSentence()]), pairs, self.tokenizer, machine)
        self.accounting = Accounting()
        self.tokens = 0
        """Tokens of the text, special ones not counted."""

    def read(self, part: Part) -> Iterator[float]:
        """Reads some documents; yields the share of them that is done, again and again."""
        self.tokens += len(part.text.tokens)
        self.accounting.unknown_tokens += int(np.count_nonzero(part.text.tokens == self.tokenizer.unknown_id))
        done = 0
        for batch in self._words.read(part.text):
            self.accounting.sequences += batch.sequences
            self.accounting.tokens += batch.tokens
            done += batch.tokens - 2 * batch.sequences
            yield done / len(part.text.tokens)
        if self._pairs is None or part.sentences is None:
            return
        several = part.sentences.take(part.sentences.document_lengths > 1)
        if len(several) > 1:
            for _ in self._pairs.read(several):
                yield 1.0

    @property
    def _hidden(self) -> int:
        """Tokens that were hidden."""
        metrics: Any = self._words.metrics.parts[MASKED_LM]
        return int(metrics.tokens)

    def metrics(self) -> dict[str, Any]:
        """All that was found. Raises `DataError` where no token could be hidden."""
        if not self._hidden:
            raise DataError("no token could be hidden: the text consists of special tokens, or of what the vocabulary does not know")
        found = {**self._words.metrics.compute(), "tokens": self.tokens}
        if self._pairs is not None and self._pairs.sequences:
            values = self._pairs.metrics.parts[NEXT_SENTENCE].compute()
            found |= {f"{self.pairing}_{name}": values[name] for name in ("accuracy", "log_loss")}
            found[f"{self.pairing}_pairs"] = values["rows"]
        return found

    def lines(self, unsplit: str) -> list[str]:
        """What was asked of the model, for a person; `unsplit` is why the text could not be split into sentences."""
        hidden, masking = self._hidden, self.masking
        told = f"{hidden:,} of {self.tokens:,} tokens hidden ({hidden / max(1, self.tokens):.1%}, asked for {masking.rate:.1%})"
        out = [f"{told}, in sequences of at most {self.max_tokens}; seed {masking.seed}"]
        kind = self.pairing.replace("_", " ")
        if self._pairs is not None and self._pairs.sequences:
            out.append(f"{kind}: {self._pairs.sequences:,} pairs")
        elif self._pairs is not None:
            out.append(f"{kind} not judged: {unsplit or 'pairs are made of documents of several sentences, at least two of them'}")
        return out
