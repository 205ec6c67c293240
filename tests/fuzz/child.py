"""Runs one target under atheris, with Komeet's modules instrumented: `python -m tests.fuzz.child NAME [OPTION…]`."""

import sys
from importlib import import_module
from typing import Any

_BYTES_ONLY = frozenset({"server", "client", "addresses", "sse", "json"})
"""Targets whose inputs are no lines of JSON."""


def main() -> None:
    """Fuzz until libFuzzer's own options say to stop."""
    fuzzer: Any = import_module("atheris")  # of a group of its own, which most who read this do not have
    with fuzzer.instrument_imports(include=["komeet"]):
        from tests.fuzz.mutation import Mutator  # noqa: PLC0415 - only what is imported in here is instrumented
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    target = next(each for each in TARGETS if each.name == sys.argv[1])
    mutator = Mutator(target.starts())
    bytes_only = target.name in _BYTES_ONLY

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        if bytes_only or seed % 4 == 0:
            return fuzzer.Mutate(data, most)
        return mutator.mutate(data, most, seed)

    fuzzer.Setup([sys.argv[0], *sys.argv[2:]], target.run, custom_mutator=mutate)
    fuzzer.Fuzz()


if __name__ == "__main__":
    main()
