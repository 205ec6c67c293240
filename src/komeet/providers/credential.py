"""Keys of a provider: where each comes from, and whose turn it is.

Everything here is a value: who reads the files, runs the commands and asks for tokens is `net.keyring`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from komeet.core.secrets import Secret
from komeet.providers.google.account import ServiceAccount

ONLY: Final = "default"
"""What the credential is called of a provider that has one."""


class FromFile(Struct, frozen=True, kw_only=True):
    """A file that holds the key and nothing else; it is read again when it changes."""

    path: str


class FromCommand(Struct, frozen=True, kw_only=True):
    """A program that prints the key; it is run without a shell, and again before what it printed expires."""

    argv: tuple[str, ...]
    timeout: float
    """Seconds after which it is killed."""
    expires: float
    """Seconds that what it printed is good for, where it does not say itself."""


Source: TypeAlias = FromFile | FromCommand | ServiceAccount
"""Where a key comes from that may change while Komeet runs."""


class Credential(Struct, frozen=True, kw_only=True):
    """One of a provider's keys. Its representation holds no secret."""

    name: str = ONLY
    """What metrics and logs call it; unique among those of its provider."""
    weight: int = 1
    """Its part of the calls, beside the weights of the others."""
    secret: Secret | None = None
    """The key; None: it comes from `source` when it is needed, or there is none."""
    source: Source | None = None

    def with_secret(self, secret: Secret) -> "Credential":
        """Return the same credential with the key that holds now.

        Raises:
            ValueError: the key cannot be sent; the message does not hold it.
        """
        return replace(self, secret=checked(secret))


def checked(secret: Secret) -> Secret:
    """Return `secret`; raises ValueError, which does not hold it, where it cannot stand in a header."""
    text = secret.reveal()
    if not text or not all("!" <= character <= "~" for character in text):
        raise ValueError(
            "a key is printable ASCII without spaces; check for a line break or a quote that was pasted too"
        )
    return secret


def next_turn(
    credentials: Sequence[Credential],
    balance: Mapping[str, int],
    usable: Callable[[Credential], bool] = lambda _: True,
) -> tuple[Credential | None, Mapping[str, int]]:
    """Say whose turn it is, so that each has its part of the calls, and they take turns rather than come in runs.

    Each that may be used earns its weight; who has most is chosen, and pays what all have earned. Weights 3 and 1 make
    the turns A A B A, again and again.

    Args:
        credentials: those of one provider.
        balance: what the last call returned; nothing before the first.
        usable: whether one may be chosen now; one that may not neither earns nor pays.

    Returns:
        The credential, None where none may be used; and the balance for the next call.
    """
    allowed = [one for one in credentials if usable(one)]
    if not allowed:
        return None, balance
    earned = {one.name: balance.get(one.name, 0) + one.weight for one in allowed}
    chosen = max(allowed, key=lambda one: earned[one.name])
    earned[chosen.name] -= sum(one.weight for one in allowed)
    there = {one.name for one in credentials}
    return chosen, {name: value for name, value in balance.items() if name in there} | earned
