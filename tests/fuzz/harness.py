"""Coverage-guided fuzzing of one target, or of all in turn: `python -m tests.fuzz.harness csv --seconds 600`.

libFuzzer (through atheris) mutates valid inputs, prefers those that reach new branches of bertworks, and mixes its own
mutations with ones that know the format. It runs in a process of its own. An unexpected exception is written down, once
for each place in the code, and the run goes on; a crash of the process, a hang (20 s) or a growth beyond 3 GB ends it,
is written down too, and a new process goes on with the time that is left.

Findings and corpora are kept under `.fuzz/` (or `--folder`). Exit code 1 where anything was found.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.names import HOME

HANG_SECONDS = 20
MEMORY_MEGABYTES = 3072
LONGEST_INPUT = 100_000
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_PROGRESS = re.compile(r"^#(\d+)\s", re.MULTILINE)


@dataclass
class Outcome:
    """What the fuzzing of one target came to."""

    target: str
    seconds: float = 0.0
    executions: int = 0
    corpus: int = 0
    """Inputs kept, because each reached something new."""
    findings: list[str] = field(default_factory=list)


def fuzz(target: str, seconds: float, folder: Path, seed: int = 0) -> Outcome:
    """Fuzzes a target for so many seconds, in processes of its own."""
    outcome = Outcome(target)
    corpus, findings = folder / "corpus" / target, folder / "findings" / target
    corpus.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(findings, ignore_errors=True)
    findings.mkdir(parents=True)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 1:
        started = time.monotonic()
        log = folder / f"{target}.log"
        with open(log, "wb") as stream, tempfile.TemporaryDirectory(dir=_fast_folder(), ignore_cleanup_errors=True) as home:
            options = [f"-max_total_time={max(1, int(left))}", f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MEGABYTES}"]
            options += [f"-max_len={LONGEST_INPUT}", f"-artifact_prefix={findings}/", "-print_final_stats=1", "-close_fd_mask=3"]
            options += [f"-seed={seed + len(outcome.findings) + 1}"]
            command = [sys.executable, "-m", "tests.fuzz.harness", target, "--child", str(findings), "--", *options, str(corpus)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "RUST_BACKTRACE": "0", HOME: home}
            code = subprocess.run(command, stdout=stream, stderr=stream, env=environment, check=False).returncode
        outcome.seconds += time.monotonic() - started
        outcome.executions += _executions(log)
        outcome.findings = sorted(file.name for file in findings.iterdir() if file.suffix != ".txt")
        if code != 0 and time.monotonic() - started < 2:
            raise SystemExit(f"the fuzzing of '{target}' does not start: see {log}")
        if code == 0:
            break
    outcome.corpus = sum(1 for _ in corpus.iterdir())
    return outcome


def _fast_folder() -> str | None:
    """A folder in memory, where there is one: every input is written as a file."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _executions(log: Path) -> int:
    text = log.read_text(encoding="utf-8", errors="replace")
    final = _EXECUTIONS.search(text)
    return int(final[1]) if final else max((int(found) for found in _PROGRESS.findall(text)), default=0)


def child(target: str, findings: Path, options: list[str]) -> None:
    """The fuzzing process: does not return."""
    import atheris

    with atheris.instrument_imports(include=["bertworks"]):
        import bertworks.cli.main
        import bertworks.data.text_data
        import bertworks.estimators.classifier
        import bertworks.estimators.load  # noqa: F401 - all that targets reach is to be instrumented
        from tests.fuzz import target as judge
        from tests.fuzz import targets
    import torch

    torch.set_num_threads(1)
    chosen = targets.TARGETS[target]
    seeds = chosen.seeds()
    known: set[str] = set()

    def test_one(data: bytes) -> None:
        try:
            with judge.scratch() as folder:
                chosen.run(data, folder)
        except Exception as error:
            _write_down(error, data, findings, known)
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            _write_down(error, data, findings, known)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.02 or not data:
            data = random.choice(seeds)
        if random.random() < 0.35:
            return bytes(atheris.Mutate(data, most))
        return chosen.mutate(data, random)[:most]

    corpus = Path(options[-1])
    for seed in seeds:
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    atheris.Setup([sys.argv[0], *options], test_one, custom_mutator=mutate)
    atheris.Fuzz()


def _write_down(error: BaseException, data: bytes, findings: Path, known: set[str]) -> None:
    """Keeps the first input that leads to an exception at a place, with its traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "bertworks" in frame.filename]
    place = f"{frames[-1].name}-{frames[-1].lineno}" if frames else "outside"
    words = re.sub(r"\W+", "-", str(error)[:40]) if isinstance(error, AssertionError) else ""
    name = f"{type(error).__name__}-{place}{words and '-' + words}"
    if name not in known:
        known.add(name)
        (findings / name).write_bytes(data)
        (findings / f"{name}.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", help="targets to fuzz; all where none is named")
    parser.add_argument("--seconds", type=float, default=60, help="in all, shared among the targets")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="where corpora and findings are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    chosen = parser.parse_args(arguments[:end])
    if chosen.child:
        child(chosen.targets[0], chosen.child, arguments[end + 1 :])
        return 0
    from tests.fuzz.targets import TARGETS

    unknown = [name for name in chosen.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target '{unknown[0]}'; there are {', '.join(TARGETS)}")
    names = chosen.targets or list(TARGETS)
    outcomes = []
    for name in names:
        outcome = fuzz(name, chosen.seconds / len(names), chosen.folder, chosen.seed)
        outcomes.append(outcome)
        kept = f"{outcome.corpus:6,} inputs kept {len(outcome.findings)} findings"
        _say(f"{name:24} {outcome.seconds:6.0f} s {outcome.executions:10,} runs {kept}")
        for finding in outcome.findings:
            _say(f"    {chosen.folder / 'findings' / name / finding}")
    (chosen.folder / "summary.json").write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n", encoding="utf-8")
    return int(any(outcome.findings for outcome in outcomes))


def _say(line: Any) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
