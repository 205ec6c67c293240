"""Which inputs of a long run are kept: few and small, that reach together what all of them reach."""

import sys
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tests.fuzz.target import Target

CORPUS: Final = Path(__file__).parent / "corpus"
MOST_FILES: Final = 60
"""Files that are kept of one target, besides those that were named by hand: what a name says was found once."""
MOST_BYTES: Final = 1200
"""Bytes of one that is kept by this module."""

Step = tuple[str, int, int]
"""From one line of a module of Komeet to another."""


def kept(name: str) -> Sequence[Path]:
    """Return the files that are kept of a target."""
    return sorted((CORPUS / name).glob("*"))


def reached(target: Target, data: bytes) -> frozenset[Step]:
    """Return the steps from line to line that an input takes through Komeet."""
    steps: set[Step] = set()

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            file, line = frame.f_code.co_filename, frame.f_lineno
            steps.add((file, before.get(id(frame), 0), line))
            before[id(frame)] = line
        elif event == "return":
            before.pop(id(frame), None)
        return local

    def called(frame: FrameType, event: str, _: Any) -> Any:
        return local if "/komeet/" in frame.f_code.co_filename and event == "call" else None

    before: dict[int, int] = {}
    sys.settrace(called)
    try:
        target.run(data)
    finally:
        sys.settrace(None)
    return frozenset(steps)


def choose(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Return the inputs to keep: each adds to what those before it reach; of two that add as much, the smaller one."""
    candidates: list[bytes] = sorted(
        {each for each in inputs if len(each) <= MOST_BYTES}, key=lambda each: (len(each), each)
    )
    reach = {each: reached(target, each) for each in candidates}
    chosen: list[bytes] = []
    known: set[Step] = set()
    while candidates and len(chosen) < MOST_FILES:
        worths: list[tuple[float, bytes]] = [
            (len(reach[each] - known) / (200 + len(each)), each) for each in candidates
        ]
        candidates = [each for worth, each in worths if worth]
        if not candidates:
            break
        _, best = max(worths)
        chosen.append(best)
        known |= reach[best]
    return chosen


def keep(target: Target, found: Iterable[bytes]) -> int:
    """Choose anew among what is kept and what was found; return how many files there are now."""
    folder = CORPUS / target.name
    folder.mkdir(parents=True, exist_ok=True)
    chosen_before = [file for file in kept(target.name) if _is_ours(file)]
    chosen = choose(target, [*found, *[file.read_bytes() for file in chosen_before]])
    for file in chosen_before:
        file.unlink()
    for data in chosen:
        (folder / _name(data)).write_bytes(data)
    return len(kept(target.name))


def _name(data: bytes) -> str:
    return sha256(data).hexdigest()[:12]


def _is_ours(file: Path) -> bool:
    return file.name == _name(file.read_bytes())
