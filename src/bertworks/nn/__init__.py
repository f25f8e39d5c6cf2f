"""The mathematics, each once, on packed tokens: `[tokens, hidden]`, never padded, no modes.

A module here has no training mode. Dropout happens if, and only if, the inputs carry dropout keys.
"""
