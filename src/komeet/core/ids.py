"""Ids that sort by the time they were made (UUID version 7, RFC 9562 §5.7), with a prefix that says what they name."""

import secrets

from komeet.core.clock import Clock


def uuid7(clock: Clock) -> bytes:
    """Return the 16 bytes of a new UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    value = int.from_bytes(clock.unix_ms().to_bytes(6, "big") + secrets.token_bytes(10), "big")
    value &= ~(0xF << 76) & ~(0x3 << 62)
    return (value | (0x7 << 76) | (0x2 << 62)).to_bytes(16, "big")


def numbered(prefix: str, other: str, number: int) -> str:
    """Return an id of what belongs to the bearer of `other`, an id of `new_id`: its own UUID, plus a small number.

    Chance for each costs a call of the system; and whoever reads both sees that they belong together.
    """
    digits = other[-32:]
    return prefix + (digits if number == 0 else f"{int(digits, 16) + number:032x}")


def new_id(prefix: str, clock: Clock) -> str:
    """Return `prefix` and 32 hexadecimal digits: `req_019a…`, `att_019a…`, `key_019a…`."""
    return prefix + uuid7(clock).hex()
