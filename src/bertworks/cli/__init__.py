"""The command line: one file a verb, each a thin layer over the function of the same name."""
