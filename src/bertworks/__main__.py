"""`python -m bertworks` is `bertworks`."""

from bertworks.cli.main import main

main()
