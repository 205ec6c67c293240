"""Keys: `sk-km-` and 256 random bits, shown once, kept as a SHA-256 digest (fit for so much chance: ASVS 6.5.2)."""

import hashlib
import secrets
import string
from fnmatch import fnmatchcase
from typing import Protocol

from msgspec import Struct

from komeet.core.money import Nano
from komeet.core.secrets import Secret

PREFIX = "sk-km-"
_LETTERS = string.ascii_letters + string.digits
"""Of these a key is written: a double click takes all of it, and its last characters (its hint) on a command line are
never taken for an option, as `-Ab4` would be."""
_LENGTH = 43
"""With 62 letters: 256 bits of chance."""


def mint() -> Secret:
    """Return a new key."""
    return Secret(PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)))


def digest(key: str) -> bytes:
    """Return the 32 bytes under which a key is kept and found."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class KeyLimits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a key may call; None: as often as anybody."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent: int | None = None
    """Calls under way at once."""
    wait_seconds: float | None = None
    """How long a call may wait for its turn instead of being refused."""


NO_LIMITS = KeyLimits()


class Key(Struct, frozen=True, kw_only=True):
    """What is known of a key, but never the key."""

    id: str
    name: str
    digest: bytes
    hint: str
    """Its last four characters, to tell keys apart."""
    account: int
    """Its account in the ledger."""
    above: tuple[int, ...] = ()
    """The accounts of what it belongs to: its user's, its project's, its organisation's."""
    organisation: str | None = None
    project: str | None = None
    user: str | None = None
    limits: KeyLimits = NO_LIMITS
    budget: Nano | None = None
    """The amount of its own hard budget for all time, if it has one; it may have others."""
    models: tuple[str, ...] = ()
    """Patterns (`gpt-5*`, `openai/*`) of which one must match; empty: every model."""
    tags: tuple[str, ...] = ()
    store_bodies: bool = False
    """Whether prompts and answers are kept in the request log."""
    created_at: int
    """Unix milliseconds."""
    expires_at: int | None = None
    revoked_at: int | None = None
    books: int = 0
    """The number of the last change of a budget when this was read: whoever holds for the key must know it."""
    archived: str = ""
    """What it belongs to that is archived, as people call it: its calls are refused."""

    def allows(self, *names: str) -> bool:
        """Whether the key may use a model that goes by any of these names."""
        return not self.models or any(fnmatchcase(name, pattern) for pattern in self.models for name in names)


class KeyStore(Protocol):
    """Finds keys for the pipeline."""

    def known(self, digest: bytes) -> Key | None:
        """Return the key if it is in hand; no I/O."""
        ...

    async def find(self, digest: bytes) -> Key | None:
        """Look the key up in the store, once for any number of callers that ask for it at the same time.

        Raises:
            Unavailable: the store is out of reach.
        """
        ...
