"""Benchmarks: programs with a table as output. `make bench ARGS="soak --minutes 10"`."""
