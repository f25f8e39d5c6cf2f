"""What the parent process of a fuzzing and its children agree on; imports nothing of bertworks, which is to be instrumented."""

HOME = "BERTWORKS_FUZZ_HOME"
"""The environment variable that names the folder for temporary files."""
