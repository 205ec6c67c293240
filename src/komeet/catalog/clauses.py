"""How a price book recognises a model: clauses over its name, as data."""

import re
from typing import TypeAlias

from msgspec import Struct


class Equals(Struct, frozen=True, array_like=True, tag="equals"):
    """The name is `text`."""

    text: str


class OneOf(Struct, frozen=True, array_like=True, tag="one_of"):
    """The name is one of `texts`."""

    texts: tuple[str, ...]


class StartsWith(Struct, frozen=True, array_like=True, tag="starts_with"):
    """The name starts with `text`."""

    text: str


class EndsWith(Struct, frozen=True, array_like=True, tag="ends_with"):
    """The name ends with `text`."""

    text: str


class Contains(Struct, frozen=True, array_like=True, tag="contains"):
    """The name contains `text`."""

    text: str


class Matches(Struct, frozen=True, array_like=True, tag="regex"):
    """The regular expression is found in the name."""

    pattern: str


class AnyOf(Struct, frozen=True, array_like=True, tag="or"):
    """One of the clauses holds."""

    clauses: "tuple[Clause, ...]"


class AllOf(Struct, frozen=True, array_like=True, tag="and"):
    """All of the clauses hold."""

    clauses: "tuple[Clause, ...]"


Clause: TypeAlias = Equals | OneOf | StartsWith | EndsWith | Contains | Matches | AnyOf | AllOf


def holds(clause: Clause, name: str) -> bool:
    """Say whether the clause holds for a name; both must be in lower case (but for regular expressions)."""
    match clause:
        case Equals(text):
            return name == text
        case OneOf(texts):
            return name in texts
        case AnyOf(clauses):
            return any(holds(each, name) for each in clauses)
        case StartsWith(text):
            return name.startswith(text)
        case Contains(text):
            return text in name
        case EndsWith(text):
            return name.endswith(text)
        case Matches(pattern):
            return re.search(pattern, name) is not None
        case AllOf(clauses):
            return all(holds(each, name) for each in clauses)


def split(clause: Clause) -> tuple[tuple[str, ...], Clause | None]:
    """Return the names for which a clause holds because it lists them, and the clause that is left, if any."""
    match clause:
        case Equals(text):
            return (text,), None
        case OneOf(texts):
            return texts, None
        case AnyOf(clauses):
            parts = [split(each) for each in clauses]
            rest = tuple(left for _, left in parts if left is not None)
            return tuple(text for texts, _ in parts for text in texts), AnyOf(rest) if rest else None
        case _:
            return (), clause
