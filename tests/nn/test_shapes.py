"""The shapes in the signatures of `bertworks.nn` hold when they are checked at every call.

The whole suite can run so too, in about half as much time again:
`pytest --jaxtyping-packages=bertworks.nn,beartype.beartype`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPTION = "--jaxtyping-packages=bertworks.nn,beartype.beartype"


@pytest.mark.slow
def test_signatures_hold(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--jaxtyping-packages", None):
        pytest.skip("this run checks them already")
    files = [str(Path(__file__).with_name(f"test_{name}.py")) for name in ("encoder", "losses", "model")]
    command = [sys.executable, "-m", "pytest", OPTION, "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(
        command, cwd=request.config.rootpath, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
def test_a_wrong_shape_is_noticed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    if request.config.getoption("--jaxtyping-packages", None):
        pytest.skip("this run checks them already")
    (tmp_path / "test_wrong.py").write_text(
        "import torch\n"
        "from bertworks.nn.losses import LOSSES\n"
        "def test_wrong():\n"
        "    LOSSES['cross_entropy'].sum(torch.zeros(3), torch.zeros(3, dtype=torch.int64))\n"
    )
    command = [sys.executable, "-m", "pytest", OPTION, "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TypeCheckError" in done.stdout
