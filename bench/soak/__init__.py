"""A long run with mixed traffic and faults: does anything grow? `python -m bench.soak --help`."""
