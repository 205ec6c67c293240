"""What an import comes to: a configuration, what was found on the way, and the variables to set."""

import re
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["maps", "differs", "missing", "unknown"]
"""maps: it is in the configuration, and means the same; differs: it is there, or goes by itself, in another way;
missing: Komeet has no such thing, or it has to be set up by hand; unknown: nothing is known of such a key."""

KINDS: Final[tuple[Kind, ...]] = ("maps", "differs", "missing", "unknown")
_MARK: Final = re.compile(r"\$\{")


class ImportFailed(Exception):
    """The source cannot be read; the message says where and why, and holds no secret."""


class Finding(Struct, frozen=True, order=True):
    """What became of one key of the source."""

    kind: Kind
    path: str
    says: str


class Variable(Struct, frozen=True):
    """A variable of the environment that the configuration needs."""

    name: str
    why: str
    literal: bool
    """Whether the source had the value itself, which is nowhere repeated."""


class Imported(Struct, frozen=True, kw_only=True):
    """A configuration as the file would say it, and the report about it."""

    config: dict[str, Any]
    findings: tuple[Finding, ...]
    variables: tuple[Variable, ...]


class Notes:
    """Collects the findings of one import."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def maps(self, path: str, says: str) -> None:
        """Note what means the same."""
        self._found[Finding("maps", path, says)] = None

    def differs(self, path: str, says: str) -> None:
        """Note what is carried over, and means something else."""
        self._found[Finding("differs", path, says)] = None

    def missing(self, path: str, says: str) -> None:
        """Note what is not carried over."""
        self._found[Finding("missing", path, says)] = None

    def unknown(self, path: str) -> None:
        """Note a key of which nothing is known."""
        self._found[Finding("unknown", path, "not understood, and not carried over")] = None

    def add(self, kind: Kind, path: str, says: str) -> None:
        """Note what a table says of a key."""
        self._found[Finding(kind, path, says)] = None

    def findings(self) -> tuple[Finding, ...]:
        """Return them all, each once, in the order in which they were found."""
        return tuple(self._found)


def is_written(text: str) -> bool:
    """Whether text can stand in a configuration as it is: it prints, and nothing in it is read as a variable."""
    return bool(text) and text.isprintable() and text == text.strip() and not _MARK.search(text)
