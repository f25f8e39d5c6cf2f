"""Search, ranking, mining and sorting by descriptions: what cannot be done with these texts, this model or this index."""

import sys
from pathlib import Path
from unittest.mock import patch

from bertworks.errors import DataError, MissingExtraError, SettingsError
from tests.faults.case import Case, bytes_of, done, file

_SEARCH = "bertworks search encoder 'a text' --file reviews.csv --text review --index reviews.faiss"


def _index_of_others() -> None:
    import bertworks

    bertworks.SentenceEncoder("encoder", precision="float32").build_index(["a text", "another"]).save("reviews.faiss")


SEARCH = [
    Case("an index of other texts", _SEARCH, DataError, "'reviews.faiss'", "built anew", (done(_index_of_others),)),
    Case(
        "an index by another model",
        "bw.SentenceEncoder('encoder', pooling='cls').search(['a'], index=bw.SentenceEncoder('encoder').build_index(['a', 'b']))",
        DataError,
        "built with another model",
        "build it anew",
    ),
    Case(
        "a damaged index",
        _SEARCH,
        DataError,
        "'reviews.faiss' is damaged",
        "remove 'reviews.faiss'",
        (done(_index_of_others), bytes_of("reviews.faiss", lambda data: data[:-8])),
    ),
    Case("another file in the place of an index", _SEARCH, DataError, "reviews.faiss.json", "remove", (file("reviews.faiss", "words"),)),
    Case(
        "an index without the file that says of what it is",
        _SEARCH,
        DataError,
        "reviews.faiss.json beside it is lost",
        "remove",
        (done(_index_of_others), lambda: Path("reviews.faiss.json").unlink()),
    ),
    Case(
        "an index in a folder that does not exist",
        _SEARCH.replace("reviews.faiss", "nowhere/reviews.faiss"),
        DataError,
        "nowhere/reviews.faiss",
        "make it first",
    ),
    Case(
        "an index without the package that makes it",
        _SEARCH,
        MissingExtraError,
        "'faiss-cpu'",
        "pip install",
        (lambda: patch.dict(sys.modules, {"faiss": None}),),
    ),
    Case(
        "ranking by a model of single texts",
        "bertworks rank model 'a query' --file reviews.csv --text review",
        SettingsError,
        "this one reads single texts",
        "bertworks search",
    ),
    Case(
        "passages beside their queries",
        "bertworks rank pairs 'a query' --file both.csv",
        DataError,
        "'query' and 'passage'",
        "--text",
        (file("both.csv", "query,passage\na b,c d\n"),),
    ),
    Case("mining one text", "bertworks mine encoder reviews.csv --text review --limit 1", DataError, "has one text", "two at least"),
    Case(
        "a column of a second file that is not there",
        "bertworks mine encoder reviews.csv --text review --against-text review",
        SettingsError,
        "against_text",
        "--against",
    ),
    Case(
        "mining rows of two texts",
        "bertworks mine encoder both.csv",
        DataError,
        "'query' and 'passage'",
        "--text",
        (file("both.csv", "query,passage\na b,c d\n"),),
    ),
    Case("a lowest score that is no number", "bertworks mine encoder reviews.csv --least nan", SettingsError, "least", "a finite number"),
    Case("an empty text to sort", "bertworks zero-shot encoder '' --labels a --labels b", DataError, "the text is empty", "leave it out"),
    Case("one label to choose from", "bertworks zero-shot encoder 'a text' --labels a=b", SettingsError, "two labels at least", "--labels"),
    Case(
        "a label without its description",
        "bertworks zero-shot encoder 'a text' --labels a= --labels b",
        SettingsError,
        "'a='",
        "sports=a text about sport",
    ),
    Case(
        "a candidate that the vocabulary cannot spell",
        "bw.MaskFiller().fill('A [MASK].', candidates=['\\U0001f95d'])",
        SettingsError,
        "cannot be told by the vocabulary",
        "leave it out",
    ),
]
