"""SQuAD files (Rajpurkar et al. 2016, 2018): articles of paragraphs, each with questions and answers, in one JSON object."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bertworks.data.faults import OnBadRows
from bertworks.data.files import decode_text, opened, read_bytes, split_suffixes
from bertworks.data.question_examples import (
    BadQuestionError,
    Gathered,
    GoldAnswer,
    QuestionData,
    QuestionExample,
    answers_of,
    checked_example,
)
from bertworks.errors import BertworksError, DataError

_BEGINNING = 1 << 16
"""Bytes by which the form of a file is told."""


def is_questions(source: Any) -> bool:
    """Whether a source is unmistakably one of questions on contexts: a SQuAD file, JSON lines, or a list."""
    if isinstance(source, list | tuple) and len(source):
        return isinstance(source[0], QuestionExample) or _has_question(source[0])
    if isinstance(source, str | Path) and split_suffixes(Path(source))[1] in (".jsonl", ".ndjson"):
        try:
            return _has_question(json.loads(beginning(source).partition("\n")[0]))
        except (ValueError, RecursionError):
            return False
    return is_squad_file(source)


def beginning(source: str | Path) -> str:
    """The beginning of a file as text; empty where there is none that can be read."""
    try:
        path = Path(source).expanduser()
        if not path.is_file():
            return ""
        with opened(path) as (stream, _):
            return stream.read(_BEGINNING).decode("utf-8", errors="replace")
    except (BertworksError, OSError, ValueError, EOFError, RuntimeError):
        return ""


def _has_question(row: Any) -> bool:
    return isinstance(row, dict) and {"question", "context"} <= row.keys() and bool({"answers", "answer"} & row.keys())


def is_squad_file(source: Any) -> bool:
    """Whether a source is a SQuAD file, by its name and its beginning. Does not raise."""
    if not isinstance(source, str | Path) or split_suffixes(Path(source))[1] != ".json":
        return False
    text = beginning(source)
    return all(f'"{key}"' in text for key in ("data", "paragraphs", "qas"))


def opened_squad(source: Any, encoding: str = "utf-8") -> dict[str, Any] | None:
    """The object in a SQuAD file; None where the source is no such file. Raises `DataError` where it is no valid JSON."""
    if isinstance(source, dict) and isinstance(source.get("data"), list) and _is_squad(source["data"]):
        return source
    if not isinstance(source, str | Path) or split_suffixes(Path(source))[1] != ".json" or not Path(source).expanduser().is_file():
        return None
    text = decode_text(read_bytes(Path(source).expanduser()), encoding, str(source))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        if '"paragraphs"' not in text[:_BEGINNING]:
            return None  # the reader of tables says what is wrong, or reads lines of JSON
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(f"{source} is not valid JSON: {reason}; mend the file, or copy it again") from None
    return document if isinstance(document, dict) and isinstance(document.get("data"), list) and _is_squad(document["data"]) else None


def _is_squad(articles: list[Any]) -> bool:
    return not articles or (isinstance(articles[0], dict) and "paragraphs" in articles[0])


def questions_of(
    document: dict[str, Any],
    name: str,
    *,
    require_answers: bool = True,
    on_bad_rows: OnBadRows = "error",
    split: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
) -> QuestionData:
    """The questions of a SQuAD object, in order; the plausible answers to impossible ones are not read.

    Raises `DataError` that names article and question where an entry is missing or wrong.
    """
    name = "(in memory)" if len(name) > 300 else name
    gathered = Gathered(name, on_bad_rows)
    for row, (title, context, entry, where) in enumerate(_entries(document, name)):
        gathered.add(row, where, partial(_example, title, context, entry, require_answers))
    data = gathered.data([f"SQuAD, version {document['version']!s:.20}"] if "version" in document else ["SQuAD"])
    return data.sliced(split=split, shuffle_seed=shuffle_seed, limit=limit)


def _entries(document: dict[str, Any], name: str) -> Iterator[tuple[str, Any, Any, str]]:
    """Title, context, entry and place of each question. Raises `DataError` where the nesting is broken."""
    for number, article in enumerate(document["data"]):
        title = str(article.get("title") or "") if isinstance(article, dict) else ""
        of_article = f"article {number}" + (f" '{title[:60]}'" if title else "")
        for place, paragraph in enumerate(_list(article, "paragraphs", f"{name}, {of_article}")):
            of_paragraph = f"{of_article}, paragraph {place}"
            for count, entry in enumerate(_list(paragraph, "qas", f"{name}, {of_paragraph}")):
                identity = str(entry.get("id", count)) if isinstance(entry, dict) else str(count)
                yield title, paragraph.get("context"), entry, f"{of_paragraph}, question {identity[:80]}"


def _list(parent: Any, key: str, where: str) -> list[Any]:
    value = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(value, list):
        raise DataError(f"{where}: '{key}' must be a list, but is {'missing' if value is None else type(value).__name__}: mend the file")
    return value


def _example(title: str, context: Any, entry: Any, require_answers: bool) -> QuestionExample:
    if not isinstance(entry, dict):
        raise BadQuestionError("a question that is no object", f"{entry!r:.40}")
    if "id" not in entry:
        raise BadQuestionError("a question without an id")
    impossible = entry.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise BadQuestionError("is_impossible is neither true nor false", f"{impossible!r:.40}")
    given = entry.get("answers")
    answers: tuple[GoldAnswer, ...] | None = None if given is None else answers_of(given)
    if impossible:
        if answers:
            raise BadQuestionError("answers to a question that is marked as impossible")
        answers = ()
    elif not answers:
        if require_answers:
            raise BadQuestionError("no answer to a question that is not marked as impossible")
        answers = None
    return checked_example(entry.get("question"), context, answers, str(entry["id"]), title)
