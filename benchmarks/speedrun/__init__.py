"""The speedrun: how soon a small encoder reaches a fixed masked-LM loss on this machine (`python -m benchmarks.speedrun`)."""
