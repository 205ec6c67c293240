"""How long a sound is, as far as its file tells: exactly for WAV, else about."""

from typing import Final

_BYTES_A_SECOND: Final = 16_000
"""Of sound that is packed (128 kbit/s)."""
_RIFF: Final = 12
_CHUNKS: Final = 64
"""Most that are looked at."""


def length_of(sound: bytes) -> int:
    """Return a length in milliseconds, begun ones counted."""
    rate, size = _wave(sound) or (_BYTES_A_SECOND, len(sound))
    return -(-size * 1000 // rate)


def _wave(sound: bytes) -> tuple[int, int] | None:
    """Return the bytes of a second and of all seconds of a WAV file; None: it is none that can be read."""
    if sound[:4] != b"RIFF" or sound[8:_RIFF] != b"WAVE":
        return None
    place, rate = _RIFF, 0
    for _ in range(_CHUNKS):
        name, size = sound[place : place + 4], int.from_bytes(sound[place + 4 : place + 8], "little")
        if name == b"fmt ":
            rate = int.from_bytes(sound[place + 16 : place + 20], "little")
        elif name == b"data":
            return (rate, min(size, len(sound) - place - 8)) if rate else None
        place += 8 + size + size % 2
        if place >= len(sound):
            return None
    return None
