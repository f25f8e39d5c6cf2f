"""`NextSentence`: how probable it is that one text follows another."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.checkpoints.hub import resolve
from bertworks.errors import CheckpointError, DataError
from bertworks.estimators.rows import split_pairs, text_rows
from bertworks.estimators.stored_task import check_fit
from bertworks.estimators.task_estimator import model_path
from bertworks.inference import load_model, score
from bertworks.nn.machine import Precision, choose
from bertworks.tasks.next_sentence import NEXT_SENTENCE
from bertworks.tokenization import Tokenizer


class NextSentence:
    """A pretrained model with a next-sentence head (Devlin et al. 2019, section 3.1).

    >>> from bertworks import NextSentence
    >>> NextSentence("runs/pretraining-1").predict([("The door opened.", "A man came in.")])  # doctest: +SKIP
    array([0.93])
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
    ) -> None:
        """Loads a model folder, a run folder's finished model, a hub name, or the default encoder. Raises `CheckpointError`
        where that fails, or the model has no next-sentence head."""
        folder = model_path(resolve(model, revision=revision))
        try:
            self._loaded = load_model(folder, {NEXT_SENTENCE: ("next_sentence", 2)})
        except CheckpointError as error:
            load_model(folder)  # where all but the head can be read, it is the head that is not there
            raise CheckpointError(f"{folder} has no next-sentence head: choose a model that was pretrained with one") from error
        self.tokenizer = Tokenizer.load(folder)
        check_fit(folder, self._loaded, self.tokenizer)
        self.machine = choose(device, precision, threads=threads, training=False)

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> Self:
        """The same as the constructor, by the name that all estimators have for it."""
        return cls(folder, **options)

    def predict(self, pairs: Iterable[tuple[str, str]]) -> Float[Array, "pairs"]:
        """For each pair the probability that the second text follows the first in a document.

        Raises `DataError` for a row that is no pair, and for a pair longer than the model reads: what stands where the two
        meet decides, so shorten the first at its beginning and the second at its end.
        """
        rows = text_rows(pairs if hasattr(pairs, "columns") else list(pairs))
        if not rows:
            return np.zeros(0)
        first, second = split_pairs(rows)
        if second is None:
            raise DataError("next sentence prediction reads pairs of texts: give (first, second)")
        limit = self._loaded.model.spec.max_tokens
        encoded = self.tokenizer.encode_batch(first, second, max_tokens=limit, overflow="error", offsets=False)
        batch = PackedBatch.from_sequences([row[0].ids for row in encoded], [row[0].segment_ids for row in encoded])
        model = self._loaded.model.to(self.machine.torch_device).compute_in(self.machine.dtype)
        scores = score(model, batch, device=self.machine.torch_device, token_budget=self.machine.token_budget)[NEXT_SENTENCE]
        odds = (scores[:, 1] - scores[:, 0]).astype(np.float64)  # of class 1, "does not follow"
        probabilities: Array = 0.5 * (1 - np.tanh(odds / 2))
        return probabilities
