"""Columns and labels that are missing, doubtful or useless."""

from bertworks.errors import DataError
from tests.faults.case import Case, file


def train(name: str, *options: str) -> str:
    return " ".join(["bertworks train", name, *options, "--model encoder"])


COLUMNS = [
    Case("a column with a slip", train("reviews.csv", "--text revew"), DataError, "no column 'revew'", "Did you mean 'review'?"),
    Case(
        "two columns that could be the text",
        train("two.csv"),
        DataError,
        "two.csv: the text could be text or review",
        "Pass text=",
        (file("two.csv", "text,review,label\na,b,x\nc,d,y\n"),),
    ),
    Case(
        "no column that could be the text",
        train("odd.csv"),
        DataError,
        "the columns are alpha, beta, gamma",
        "--text",
        (file("odd.csv", "alpha,beta,gamma\na,b,c\n"),),
    ),
    Case(
        "no column that could be the label",
        train("unlabelled.csv"),
        DataError,
        "the label cannot be told by name",
        "--label",
        (file("unlabelled.csv", "text,when,where\na,1,2\nb,3,4\n"),),
    ),
    Case(
        "a file without a header",
        train("headless.csv"),
        DataError,
        "headless.csv",
        "add a first line",
        (file("headless.csv", "a text that is long enough to be seen as a text and not as the name of a column,1\nanother,0\n"),),
    ),
    Case(
        "one column for two things", train("reviews.csv", "--text review --label review"), DataError, "review, review", "different columns"
    ),
    Case(
        "a column name twice",
        train("twice.csv"),
        DataError,
        "'text' appears more than once (columns 1 and 3)",
        "rename one",
        (file("twice.csv", "text,label,text\na,x,b\n"),),
    ),
    Case(
        "a text column of numbers",
        "read_texts({'text': [1, 2], 'label': ['a', 'b']}, text='text')",
        DataError,
        "the column 'text' is of the type int64",
        "not text",
    ),
    Case(
        "columns of different lengths",
        "read_texts({'text': ['a', 'b'], 'label': ['x']})",
        DataError,
        "text 2, label 1",
        "differ in length",
    ),
    Case(
        "rows without a label",
        train("gaps.csv"),
        DataError,
        "1 of 3 rows have no label in the column 'label' (rows 1",
        "--on-bad-rows drop",
        (file("gaps.csv", "text,label\na,x\nb,\nc,y\n"),),
    ),
    Case(
        "one label for all rows",
        train("one.csv"),
        DataError,
        "the label 'a'",
        "at least two labels",
        (file("one.csv", "text,label\ngood,a\nfine,a\nbad,a\n"),),
    ),
    Case(
        "a slice of a file sorted by label",
        train("sorted.csv", "--split [:5]"),
        DataError,
        "all 5 rows taken from sorted.csv",
        "--shuffle-seed 0",
        (file("sorted.csv", "text,label\n" + "good,a\n" * 9 + "bad,b\n" * 9),),
    ),
    Case(
        "words where numbers are wanted",
        train("rated.csv", "--kind number"),
        DataError,
        "column 'score': 'good' in row 1",
        "is not a number",
        (file("rated.csv", "text,score\na,1.5\nb,good\n"),),
    ),
    Case(
        "an infinite number to learn",
        train("endless.csv", "--kind number"),
        DataError,
        "row 1",
        "infinite",
        (file("endless.csv", "text,score\na,1.5\nb,inf\nc,2\n"),),
    ),
    Case(
        "the same number everywhere",
        train("flat.csv"),
        DataError,
        "(4 in all) has the label 1.5",
        "Choose another column",
        (file("flat.csv", "text,score\na,1.5\nb,1.5\nc,1.5\nd,1.5\n"),),
    ),
    Case(
        "lists of labels where one is wanted",
        train("lists.jsonl", "--kind single"),
        DataError,
        "lists.jsonl, column 'label'",
        "--kind multi",
        (file("lists.jsonl", '{"text": "a", "label": ["x"]}\n{"text": "b", "label": ["y", "z"]}\n'),),
    ),
    Case(
        "labels that the model does not know",
        "bertworks evaluate model new.csv",
        DataError,
        "new.csv, row 1 (the first is 0): the label 'positiv'",
        "Did you mean 'positive'?",
        (file("new.csv", "text,label\na,negative\nb,positiv\n"),),
    ),
    Case(
        "only empty texts",
        train("blank.csv"),
        DataError,
        "blank.csv has no usable row",
        "2 × empty text",
        (file("blank.csv", "text,label\n ,x\n,y\n"),),
    ),
    Case("a split that does not exist", train("reviews.csv", "--split test"), DataError, "no split 'test'", "[:2000]"),
    Case(
        "a split with a slip",
        "bertworks train parts --split tets --model encoder",
        DataError,
        "no split 'tets'; it has train, test",
        "Did you mean 'test'?",
        (file("parts/train.csv", "text,label\na,x\n"), file("parts/test.csv", "text,label\na,x\n")),
    ),
    Case("a slice that is none", train("reviews.csv", "--split 'train[5'"), DataError, "'train[5' is not a split", "'train[:2000]'"),
    Case("a slice of rows and percent", train("reviews.csv", "--split '[10%:20]'"), DataError, "'[10%:20]'", "both with %"),
    Case("a slice beyond the end", train("reviews.csv", "--split '[100:]'"), DataError, "'[100:]' of reviews.csv", "holds no row"),
    Case(
        "labels that are tables", "bw.TextClassifier('encoder').fit(['a', 'b'], [{'x': 1}, 'y'])", DataError, "row 0", "cannot be a label"
    ),
]
