"""`bertworks generate`."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks import TextGenerator
from bertworks.estimators.verbs.generate import generate
from tests.tiny_gpt2 import write_tiny_gpt2

from .conftest import Bertworks

EXACT = ("--precision", "float32", "--threads", "1")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gpt2(tmp_path_factory.mktemp("tiny") / "gpt2", spread=0.5)


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def shown(prompt: str, text: str) -> str:
    return prompt + "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text) + "\n"


def test_prompts_of_an_array(gpt2: Path) -> None:
    prompts = ["the film was", "a dog"]
    wanted = generate(gpt2, prompts, precision="float32", max_new_tokens=3, temperature=0).generated
    assert generate(gpt2, np.array(prompts), precision="float32", max_new_tokens=3, temperature=0).generated == wanted


@pytest.mark.parametrize(
    "options", [(), ("--temperature", "0"), ("--top-k", "9", "--top-p", "0.8", "--seed", "5"), ("--stop", "e", "--stop", " a")]
)
def test_a_prompt_and_its_text(bertworks: Bertworks, gpt2: Path, options: tuple[str, ...]) -> None:
    done = bertworks("generate", gpt2, "the film was", "-n", 15, *options, *EXACT)
    assert done.code == 0, done.err
    names = {"--temperature": float, "--top-k": int, "--top-p": float, "--seed": int}
    settings: dict[str, Any] = {
        o[2:].replace("-", "_"): names[o](v) for o, v in zip(options[::2], options[1::2], strict=True) if o in names
    }
    settings["stop"] = [v for o, v in zip(options[::2], options[1::2], strict=True) if o == "--stop"]
    wanted = TextGenerator(gpt2, precision="float32").generate("the film was", max_new_tokens=15, **settings)
    assert done.out == shown("the film was", wanted.text)
    (line,) = done.err.splitlines()
    assert line.startswith(f"{len(wanted.ids)} tokens in ")
    assert line.endswith(f"ended by: {wanted.reason}")


def test_json(bertworks: Bertworks, gpt2: Path) -> None:
    found = bertworks("generate", gpt2, "a dog", "-n", 5, "--json", *EXACT).json
    assert found == TextGenerator(gpt2, precision="float32").generate("a dog", max_new_tokens=5).to_dict()
    assert set(found) == {"prompt", "text", "ids", "tokens", "prompt_tokens", "reason"}


def test_a_prompt_of_several_lines_from_a_pipe(bertworks: Bertworks, gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, "the film\nwas good\n")
    found = bertworks("generate", gpt2, "-n", 5, "--json", *EXACT).json
    assert found["prompt"] == "the film\nwas good"


def test_the_rows_of_a_file(bertworks: Bertworks, gpt2: Path) -> None:
    prompts = ["the film was", "a dog and a cat", "the film was"]
    Path("prompts.txt").write_text("".join(f"{prompt}\n" for prompt in prompts), encoding="utf-8")
    done = bertworks("generate", gpt2, "--file", "prompts.txt", "-n", 6, "--json", *EXACT)
    assert done.code == 0, done.err
    wanted = TextGenerator(gpt2, precision="float32").generate(prompts, max_new_tokens=6)
    assert [json.loads(line) for line in done.out.splitlines()] == [one.to_dict() for one in wanted]
    plain = bertworks("generate", gpt2, "--file", "prompts.txt", "-n", 6, *EXACT)
    assert plain.out == "".join(shown(one.prompt, one.text) + "\n" for one in wanted)
    assert plain.err.startswith("18 tokens in ")
    assert plain.err.endswith("ended by: max_new_tokens × 3\n")
    some = bertworks("generate", gpt2, "--file", "train.csv", "--text", "review", "--limit", 2, "-n", 3, "--json", *EXACT)
    assert len(some.out.splitlines()) == 2


def test_nothing_to_continue(bertworks: Bertworks, gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, "\n")
    assert (bertworks("generate", gpt2).code, bertworks("generate", gpt2).error) == (3, "error: standard input held no text")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    done = bertworks("generate", gpt2)
    assert (done.code, "give a text in quotes" in done.error) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["a", "--file", "train.csv"], 2, "either a prompt or --file"),
        (["a", "--temperature", "-1"], 2, "temperature is a number, 0 or more, not -1.0"),
        (["a", "--top-p", "0", "--top-k", "0"], 2, "top_k is a whole number, 1 or more, not 0; top_p lies above 0"),
        (["a", "--seed", "x"], 2, "invalid value for '--seed'"),
        (["a", "--sed", "1"], 2, "no such option: --sed. Did you mean --seed?"),
        (["a", "--stop", ""], 2, "stop strings are texts, not empty"),
        (["a", "-n", "0"], 2, "max_new_tokens"),
        (["a", "--precision", "half"], 2, "unknown precision 'half'"),
        (["a dog " * 60], 3, "the model reads 64, prompt and continuation together"),
        (["--file", "nowhere.txt"], 3, "'nowhere.txt' does not exist"),
        (["--file", "train.csv", "--text", "revew"], 3, "Did you mean 'review'?"),
    ],
)
def test_one_line(bertworks: Bertworks, gpt2: Path, arguments: list[str], code: int, told: str) -> None:
    done = bertworks("generate", gpt2, *arguments)
    assert done.code == code, done.err
    assert told in done.error


def test_models_that_continue_nothing(bertworks: Bertworks, encoder: Path) -> None:
    done = bertworks("generate", encoder, "a")
    assert (done.code, "is an encoder (bert)" in done.error) == (4, True)
    done = bertworks("generate", "./nowhere", "a")
    assert (done.code, "no model folder" in done.error) == (4, True)


def test_every_setting_is_an_option_with_its_default() -> None:
    from dataclasses import fields

    import typer

    from bertworks.cli.main import app
    from bertworks.inference.sampling import GenerationSettings

    command: Any = typer.main.get_command(app)
    parameters = {p.name: p for p in command.commands["generate"].params}
    for field in fields(GenerationSettings):
        assert parameters[field.name].help
        assert parameters[field.name].default == (None if field.name == "stop" else field.default)
