"""Makes `tests/checkpoints/tensorflow/`, a folder such as google-research/bert has published, by TensorFlow itself.

    python -m tests.checkpoints.make_tensorflow_checkpoint tests/checkpoints/tensorflow

Run it in an environment of its own that has TensorFlow (`pip install tensorflow-cpu`; 2.21 was used). The variables have the names
and shapes that google-research/bert gives them, with numbers drawn from a seed: the tests draw them again, and do not need
TensorFlow.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.checkpoints.tensorflow_variables import CONFIG, STEP, VOCABULARY, variables

Save = Callable[[dict[str, Any], Path], None]


def saver(arrays: dict[str, Any], prefix: Path) -> None:
    """As google-research/bert saves: `tf.train.Saver`."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        for name, array in arrays.items():
            tf.get_variable(name, initializer=array)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(prefix))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    saver(variables() | {"global_step": np.int64(STEP)}, folder / "bert_model.ckpt")
    for name in ("checkpoint", "bert_model.ckpt.meta"):  # the one names a folder of this machine, the other holds the graph
        (folder / name).unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
