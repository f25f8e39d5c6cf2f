"""What `make bench` runs: the speed benchmarks one after the other, then the page made from them.

    python -m benchmarks.run            # one to two hours on two cores; nothing else should run on the machine
    python -m benchmarks.run --quick    # some minutes, to see that everything works

Each benchmark has a process of its own. The quality benchmarks take hours and are started by hand (README.md).
"""

import argparse
import subprocess
import sys

from benchmarks import machine

SPEED = (
    ("finetune_throughput", "--shape", "minilm"),
    ("finetune_throughput", "--shape", "bert-base"),
    ("cold_start",),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="All speed benchmarks, then docs/benchmarks.md.")
    parser.add_argument("--threads", help="torch threads of the throughput benchmarks")
    parser.add_argument("--quick", action="store_true", help="tiny settings; docs/benchmarks.md is left alone")
    arguments = parser.parse_args()
    failed = []
    for module, *options in SPEED:
        extra = ["--quick"] if arguments.quick else []
        extra += ["--threads", arguments.threads] if arguments.threads and module != "cold_start" else []
        machine.log(" ".join([module, *options, *extra]))
        if subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *options, *extra], cwd=machine.ROOT, check=False).returncode:
            failed.append(" ".join([module, *options]))
    tables = ["--results", str(machine.QUICK_RESULTS), "--document", str(machine.QUICK_RESULTS / "benchmarks.md")]
    subprocess.run([sys.executable, "-m", "benchmarks.tables", *(tables if arguments.quick else [])], cwd=machine.ROOT, check=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
