"""Who gives a command, for the rows that it writes."""

import os
import pwd

from komeet.core.clock import SystemClock
from komeet.ledger.entries import Note


def actor() -> str:
    """Return the name of this process's user: the system's own, which no variable changes; or its number."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def note(reason: str) -> Note:
    """Return why something is entered, by this user, now."""
    return Note(reason, actor(), SystemClock().unix_ms())
