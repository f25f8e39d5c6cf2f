"""Memory does not grow with the number of texts: measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, resource, sys
import torch
torch.set_num_threads(1)
import bertworks as bw

encoder = bw.SentenceEncoder(sys.argv[1], precision="float32", progress=False, token_budget=4096)

def texts(count):
    return (f"the cat and the dog number {i} in the old house by the water" for i in range(count))

peaks = []
for count in (200, int(sys.argv[2])):
    seen = sum(len(vectors) for vectors, _ in encoder.encode_stream(texts(count), chunk=100))
    assert seen == count
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(json.dumps(peaks))
"""

JUDGED = """
import json, resource, sys
import torch
torch.set_num_threads(1)
import bertworks as bw

encoder = bw.SentenceEncoder(sys.argv[1], precision="float32", progress=False, token_budget=4096)
pairs = [(f"the cat and the dog number {i} in the old house by the water", f"the water number {i}") for i in range(int(sys.argv[2]))]
scores = [i % 7 for i in range(len(pairs))]

peaks = []
for count in (2500, len(pairs)):  # the first are more than are encoded at once
    found = encoder.evaluate(pairs[:count], scores[:count], intervals=False)
    assert found["rows"] == found["accounting"]["rows"] == count
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(json.dumps(peaks))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_a_hundred_times_the_texts_take_the_same_memory(tiny_bert: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tiny_bert), "20000"], capture_output=True, text=True, check=True)
    few, many = json.loads(done.stdout)
    assert many - few < 8_000  # kilobytes; the texts' vectors and token ids would be some dozens of megabytes


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_ten_times_the_scored_pairs_take_the_same_memory(tiny_bert: Path) -> None:
    done = subprocess.run([sys.executable, "-c", JUDGED, str(tiny_bert), "25000"], capture_output=True, text=True, check=True)
    few, many = json.loads(done.stdout)
    assert many - few < 8_000  # kilobytes; token ids alone would be more than twenty megabytes, the windows that hold them more
