"""How to use a model, in lines of Python that run as they stand once the folder's name is put in."""

from bertworks.estimators.reports.blocks import Block, Code, Prose
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.wording import number

FOLDER = "path/to/this/folder"
"""Stands for the model folder."""
_TEXT, _FIRST, _SECOND = "A new text.", "A first text.", "A second text."


def use(run: RunRecord) -> list[Block]:
    """With bertworks, and with `transformers`, which reads the same folder."""
    if run.gives_vectors:
        return _vectors(run)
    blocks: list[Block] = [Prose("With bertworks:"), Code("python", with_bertworks(run))]
    if (run.kind is not None or run.finds_spans) and not run.is_few_shot:
        blocks += [Prose(f"With transformers{_difference(run)}:"), Code("python", with_transformers(run))]
    return blocks


def with_bertworks(run: RunRecord) -> str:
    """Loads the folder and predicts."""
    if run.answers_questions:
        lines = ["import bertworks as bw", "", f'model = bw.load("{FOLDER}")', 'answer = model.answer("Who sang?", "A blackbird sang.")']
        return "\n".join([*lines, "print(answer.text, answer.start, answer.end, answer.score)"])
    if run.chooses:
        lines = ["import bertworks as bw", "", f'model = bw.load("{FOLDER}")']
        return "\n".join([*lines, f'print(model.predict(["{_TEXT}"], [["{_FIRST}", "{_SECOND}"]]))'])
    row = f'("{_FIRST}", "{_SECOND}")' if run.pairs else f'"{_TEXT}"'
    lines = ["import bertworks as bw", "", f'model = bw.load("{FOLDER}")', f"print(model.predict([{row}]))"]
    if run.kind in ("single", "multi"):
        lines.append(f"print(model.predict_proba([{row}]), model.classes_)")
    return "\n".join(lines)


def _vectors(run: RunRecord) -> list[Block]:
    texts = f'["{_FIRST}", "{_SECOND}"]'
    own = ["import bertworks as bw", "", f'encoder = bw.load("{FOLDER}")', f"vectors = encoder.encode({texts})"]
    theirs = ["from sentence_transformers import SentenceTransformer", "", f'encoder = SentenceTransformer("{FOLDER}")']
    theirs += [f"vectors = encoder.encode({texts})", "print(encoder.similarity(vectors, vectors))"]
    return [
        Prose("With bertworks:"),
        Code("python", "\n".join([*own, "print(encoder.similarity(vectors, vectors))"])),
        Prose(f"With sentence-transformers{_difference(run)}:"),
        Code("python", "\n".join(theirs)),
    ]


def with_transformers(run: RunRecord) -> str:
    """Loads the folder as a pipeline and predicts."""
    if run.finds_spans:
        lines = [
            "from transformers import pipeline",
            "",
            f'find = pipeline("token-classification", model="{FOLDER}", aggregation_strategy="first")',
        ]
        return "\n".join([*lines, f'print(find("{_TEXT}"))'])
    row = f'{{"text": "{_FIRST}", "text_pair": "{_SECOND}"}}' if run.pairs else f'"{_TEXT}"'
    limit = number(run.task_settings.get("max_tokens"))
    options = "truncation=True" + (f", max_length={limit:.0f}" if limit else "")
    options += {"multi": ", top_k=None", "number": ', function_to_apply="none"'}.get(run.kind or "", "")
    lines = ["from transformers import pipeline", "", f'classify = pipeline("text-classification", model="{FOLDER}")']
    if run.kind != "multi":
        return "\n".join([*lines, f"print(classify({row}, {options}))"])
    if not run.task_settings.get("thresholds"):
        return "\n".join([*lines, f"scores = classify({row}, {options})", 'print([s["label"] for s in scores if s["score"] >= 0.5])'])
    stored = [
        f'settings = json.load(open("{FOLDER}/bertworks.json", encoding="utf-8"))["settings"]',
        'thresholds = dict(zip(map(str, settings["labels"]), settings["thresholds"]))',
        f"scores = classify({row}, {options})",
        'print([s["label"] for s in scores if s["score"] >= thresholds[s["label"]]])',
    ]
    return "\n".join(["import json", "", *lines, *stored])


def _difference(run: RunRecord) -> str:
    """What `transformers` does otherwise than bertworks."""
    if run.finds_spans:
        return ", which knows neither the rules of tags nor windows"
    cuts = run.task_settings.get("overflow") in ("window", "head_tail")
    return ", which reads only the beginning of a text that is too long" if cuts else ""
