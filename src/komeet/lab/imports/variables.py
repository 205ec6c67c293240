"""Secrets of the source become variables of the environment: a key is never written down, nor printed."""

import re
from collections.abc import Iterable
from typing import Final

from komeet.lab.imports.found import Variable

_REFERENCE: Final = re.compile(r"os\.environ/(?P<name>.*)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9]+")


def referred(value: object) -> str | None:
    """Return the variable that `os.environ/NAME` names; None: it is something else, or no name."""
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found["name"].strip() if found is not None and _NAME.fullmatch(found["name"].strip()) else None


def is_reference(value: object) -> bool:
    """Whether a value stands for a variable, of whatever name."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


class Variables:
    """Gives each secret of a source its variable, the same secret the same one."""

    def __init__(self, taken: Iterable[str]) -> None:
        """Take the names that the source uses itself: no other secret may be called so."""
        self._taken = set(taken)
        self._literals: dict[str, str] = {}
        self._all: dict[str, Variable] = {}

    def named(self, name: str, why: str) -> str:
        """Return what the configuration says for a variable that the source names."""
        self._all.setdefault(name, Variable(name, why, literal=False))
        return f"${{{name}}}"

    def literal(self, value: str, wanted: str, why: str) -> str:
        """Return what the configuration says for a secret that the source has in the clear.

        Args:
            value: the secret.
            wanted: what its variable should be called; another name is found where that one is taken.
            why: what it is for.
        """
        name = self._literals.get(value)
        if name is None:
            stem = _NOT_IN_NAMES.sub("_", wanted.upper()).strip("_") or "KEY"
            stem = f"K_{stem}" if stem[0].isdigit() else stem
            number, name = 1, stem
            while name in self._taken:
                number += 1
                name = f"{stem}_{number}"
            self._taken.add(name)
            self._literals[value] = name
            self._all[name] = Variable(name, why, literal=True)
        return f"${{{name}}}"

    def secret(self, value: str, wanted: str, why: str) -> str:
        """Return what the configuration says for a value that may be either."""
        name = referred(value)
        return self.named(name, why) if name is not None else self.literal(value, wanted, why)

    def listed(self) -> tuple[Variable, ...]:
        """Return every variable, in the order in which they came up."""
        return tuple(self._all.values())
