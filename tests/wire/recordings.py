"""Real traffic of providers, found by KOMEET_RECORDINGS; tests that read it are skipped visibly without it."""

import os
from base64 import b64decode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec import Raw, Struct


class Recording(Struct):
    """One exchange."""

    url: str
    status: int
    method: str = "POST"
    request: Raw = Raw(b"null")
    response: Raw = Raw(b"null")
    headers: dict[str, str] = {}
    encoding: str = ""
    """`base64`, where the answer is bytes."""
    name: str = ""
    """The file, and the line in it."""

    @property
    def path(self) -> str:
        """The URL without its query."""
        return self.url.partition("?")[0]

    @property
    def body(self) -> bytes:
        """The answer as it came: text or bytes of a stream, or JSON."""
        raw = bytes(self.response)
        if self.encoding == "base64":
            return b64decode(msgspec.json.decode(raw, type=str))
        return msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw

    @property
    def streamed(self) -> bool:
        return self.body.lstrip().startswith((b"data:", b"event:", b":"))


def load(wanted: Callable[[Recording], bool]) -> tuple[Recording, ...]:
    """Return the recordings that are wanted, in the order of their files; none where there are no files."""
    folder = os.environ.get("KOMEET_RECORDINGS")
    found: list[Recording] = []
    for file in sorted(Path(folder).glob("*.jsonl")) if folder else ():
        for index, line in enumerate(file.read_bytes().splitlines()):
            recording = msgspec.json.decode(line, type=Recording)
            if wanted(recording):
                recording.name = f"{file.stem}:{index}"
                found.append(recording)
    return tuple(found)


needs_recordings: Final = pytest.mark.skipif(
    not os.environ.get("KOMEET_RECORDINGS"), reason="KOMEET_RECORDINGS does not name a folder of recordings"
)


def each_of(recordings: Sequence[Recording]) -> pytest.MarkDecorator:
    """Call a test with each of the recordings; once with none, to be skipped, where there are none."""
    values = recordings or (Recording(url="", status=0),)
    return pytest.mark.parametrize("recording", values, ids=[recording.name or "none" for recording in values])
