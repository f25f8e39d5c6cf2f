"""`generate`: texts that a causal language model makes of prompts."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.data.text_data import read_texts
from bertworks.errors import DataError
from bertworks.estimators.data_settings import check_given
from bertworks.estimators.generator import Generated, TextGenerator, TextStream
from bertworks.estimators.rows import text_rows


@dataclass(frozen=True)
class GenerationReport:
    """What came of prompts."""

    generated: list[Generated]
    """One a prompt, in their order."""
    seconds: float
    """Without loading the model."""

    def summary(self) -> str:
        """One line: how much, how fast, and why the texts ended."""
        tokens = sum(len(one.ids) for one in self.generated)
        reasons = Counter(one.reason for one in self.generated)
        ended = ", ".join(f"{reason} × {count:,}" if len(self.generated) > 1 else reason for reason, count in reasons.most_common())
        return f"{tokens:,} tokens in {self.seconds:.1f} s ({tokens / max(self.seconds, 1e-9):,.0f} tokens/s); ended by: {ended}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"generated": [one.to_dict() for one in self.generated], "seconds": self.seconds}


def generate(
    model: str | Path,
    prompts: str | Sequence[str] | None = None,
    *,
    file: Any = None,
    text: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    revision: str | None = None,
    device: str = "auto",
    precision: Any = "auto",
    threads: int | None = None,
    **settings: Any,
) -> GenerationReport:
    """Continues `prompts` (one, or a list), or the text of every row of `file`, any source that `predict` reads.

    `settings` are those of `TextGenerator.generate`. Raises `CheckpointError` where there is no such model, `DataError`
    for prompts that cannot be continued, `SettingsError` for wrong settings.
    """
    source: dict[str, Any] = {"split": split, "text": text, "limit": limit, "encoding": encoding, "delimiter": delimiter}
    check_given(prompts, file, None, source, "prompts or a file of them")
    if file is not None:
        data = read_texts(file, label=False, require_labels=False, **source)
        if data.pairs is not None:
            raise DataError(f'{data.table.name} has pairs of texts: name the column of the prompts with text="…" (--text …)')
        prompts = data.texts
    generator = TextGenerator(model, revision=revision, device=device, precision=precision, threads=threads)
    started = time.perf_counter()
    texts = [prompts] if isinstance(prompts, str) else text_rows(prompts)
    return GenerationReport(generator.generate(texts, **settings), time.perf_counter() - started)


def stream(
    model: str | Path,
    prompt: str,
    *,
    revision: str | None = None,
    device: str = "auto",
    precision: Any = "auto",
    threads: int | None = None,
    **settings: Any,
) -> TextStream:
    """The pieces of one text as they become certain; see `TextGenerator.stream`."""
    return TextGenerator(model, revision=revision, device=device, precision=precision, threads=threads).stream(prompt, **settings)
