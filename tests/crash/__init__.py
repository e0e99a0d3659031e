"""The fault laboratory: a real broker, a real gateway, numbered messages, faults, and an oracle that knows the truth.

`make crash ARGS="--rounds 200 --seed 1"`; what it proves and how to read it stands in docs/reliability.md.
"""
