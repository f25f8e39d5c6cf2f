"""Data files in every format, columns of labels, and what a person hands to `fit`."""

import json
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import PACKERS, Mutation, mutate_json, mutate_packed, mutate_text
from tests.fuzz.target import Target, only_deliberate_errors, scratch


def _read(path: Path, **options: Any) -> None:
    from bertworks.data.table import read_table
    from bertworks.data.text_data import read_texts

    with only_deliberate_errors():
        names = read_table(str(path), on_bad_rows="drop", **options).data.column_names
        for kind in ("auto", "multi"):
            with only_deliberate_errors():
                for _ in read_texts(str(path), text=names[0], label=names[-1], kind=kind, on_bad_rows="drop", **options):
                    pass
    with only_deliberate_errors():
        read_texts(str(path), label=False, require_labels=False, **options)
    with only_deliberate_errors():
        read_texts(str(path), split="train[:50%]", shuffle_seed=0, limit=3, **options)


def _data_file(suffix: str, seeds: list[bytes], mutate: Mutation = mutate_text) -> Target:
    def run(data: bytes, folder: Path) -> None:
        path = folder / f"data{suffix}"
        path.write_bytes(data)
        _read(path)

    return Target(lambda: seeds, run, mutate)


_CSV = [
    b'id,text,label\n1,"a ""quoted"", text",pos\n2,plain,neg\n3,"two\nlines",pos\n4,\xc3\xa9,neg\n',
    b"text;score\r\ngood;1.5\r\nbad;-2\r\n",
    b"\xef\xbb\xbftext,label,split\na,x|y,train\nb,y,test\n",
    "text,label\nä,1\nb,2\n".encode("utf-16"),
]
_TSV = [b'sentence\tlabel\nHe said "hi"\t0\nplain\t1\n', b'text\tlabel\n"a\tb"\tx\n"c ""d"""\ty\n']
_JSONL = [
    b'{"text": "a", "label": 1}\n{"text": "b", "label": null}\n\n{"text": "c", "extra": [1, {"x": "y"}]}\n',
    b'{"text": "\\u00e9 \\ud83d\\ude00", "label": ["x", "y"]}\r\n{"text": "b", "label": []}\n',
    b'{"text": "a", "label": 0.5}\n{"text": "b", "label": NaN}\n{"text": 3, "label": true}\n',
]
_JSON = [
    b'[{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]',
    b'{"text": ["a", "b"], "label": [1, 2]}',
    b'{"text": "a", "label": [["x"], []]}\n{"text": "b"}',
]


def _mutate_lines(data: bytes, random: Any) -> bytes:
    lines = data.split(b"\n")
    chosen = random.randrange(len(lines))
    lines[chosen] = mutate_json(lines[chosen], random) if random.random() < 0.7 else mutate_text(lines[chosen], random)
    return b"\n".join(lines)


def _parquet_seeds() -> list[bytes]:
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as parquet

    features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["neg", "pos"]}}}}
    tables = [
        pa.table({"text": ["a", "b", None], "label": [0, 1, 0]}).replace_schema_metadata({"huggingface": json.dumps(features)}),
        pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode(), "label": pa.array([["x"], [], None], pa.list_(pa.string()))}),
        pa.table({"text": pa.array(["a", "b"], pa.large_string()), "label": [decimal.Decimal("1.5"), None], "n": pa.nulls(2)}),
        pa.table({"text": ["a" * 50] * 40, "struct": [{"x": [1], "y": "z"}] * 40, "b": [b"\xff"] * 40, "label": [0.5, 1.0] * 20}),
    ]
    with scratch() as folder:
        out = []
        for table in tables:
            parquet.write_table(table, folder / "x", compression="none" if len(out) % 2 else "zstd")
            out.append((folder / "x").read_bytes())
        return out


def _packed(data: bytes, folder: Path) -> None:
    suffix = list(PACKERS)[data[0] % len(PACKERS)] if data else ".gz"
    path = folder / f"data.csv{suffix}"
    path.write_bytes(data[1:])
    _read(path)


def _packed_seeds() -> list[bytes]:
    return [bytes([number]) + pack(_CSV[0]) for number, (pack, _) in enumerate(PACKERS.values())]


def _labels(data: bytes, folder: Path) -> None:
    """A JSON array as a label column."""
    from bertworks.data.labels import read_labels
    from bertworks.data.records import columns_to_table

    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    with only_deliberate_errors():
        column = columns_to_table({"label": values if isinstance(values, list) else [values]}, "labels")["label"]
        for kind in ("auto", "single", "multi", "number"):
            with only_deliberate_errors():
                labels = read_labels(column, kind, "labels, column 'label'")
                assert len(labels.values) == len(column)


def _frame(data: bytes, folder: Path) -> None:
    """Labels and texts as a person hands them to `fit`."""
    from bertworks.estimators.rows import label_rows, text_rows
    from bertworks.tasks.text_classification import infer

    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    with only_deliberate_errors():
        text_rows(values)
    with only_deliberate_errors():
        infer(label_rows(values))


def _label_seeds() -> list[bytes]:
    columns: list[Any] = [["a", "b", None], [1, 2, 3.5], ["1", "2.5", "nan"], [["a"], [], ["b", "c"]], ["['a', 'b']", "[]"], ["a|b", "c"]]
    return [json.dumps(column).encode() for column in columns]


DATA: dict[str, Target] = {
    "csv": _data_file(".csv", _CSV),
    "tsv": _data_file(".tsv", _TSV),
    "jsonl": _data_file(".jsonl", _JSONL, _mutate_lines),
    "json": _data_file(".json", _JSON, mutate_json),
    "txt": _data_file(".txt", [b"one\ntwo\r\n\nthree", "ä\n".encode("utf-16")]),
    "parquet": Target(_parquet_seeds, lambda data, folder: _data_file(".parquet", []).run(data, folder)),
    "packed": Target(_packed_seeds, _packed, mutate_packed),
    "labels": Target(_label_seeds, _labels, mutate_json),
    "rows": Target(_label_seeds, _frame, mutate_json),
}
