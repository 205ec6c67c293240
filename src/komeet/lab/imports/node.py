"""A mapping of the source that knows its path, and which of its keys nobody has asked for."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import cast

from komeet.lab.imports.found import ImportFailed

_NAMES: Mapping[type, str] = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    bool: "yes or no",
    int: "a number",
    Decimal: "a number",
}


class Node:
    """One mapping; what is taken from it is understood, and `left` is not."""

    def __init__(self, value: object, path: str) -> None:
        """Take a value of the source; raises ImportFailed unless it is a mapping."""
        if not isinstance(value, dict):
            raise ImportFailed(f"{path or 'the file'}: expected a mapping, got {kind_of(value)}")
        self._value = cast("Mapping[str, object]", value)
        self._taken: set[str] = set()
        self.path = path

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str) -> object:
        """Return a value, understood from now on; None where there is none."""
        self._taken.add(key)
        return self._value.get(key)

    def has(self, key: str) -> bool:
        """Whether there is a value of that key that is not null."""
        return self._value.get(key) is not None

    def left(self) -> Iterator[tuple[str, str]]:
        """Yield key and path of what nobody took."""
        for key in self._value:
            if key not in self._taken:
                yield key, self.at(key)

    def node(self, key: str) -> "Node":
        """Return a mapping below; an empty one where there is none."""
        value = self.take(key)
        return Node({} if value is None else value, self.at(key))

    def items(self, key: str) -> list[tuple[object, str]]:
        """Return the entries of a list below with their paths; none where there is no list."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise ImportFailed(f"{self.at(key)}: expected a list, got {kind_of(value)}")
        entries = cast("list[object]", value)
        return [(entry, f"{self.at(key)}[{index}]") for index, entry in enumerate(entries)]

    def text(self, key: str) -> str | None:
        """Return a text below; numbers are taken as they are written, and "" as nothing."""
        value = self.take(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise ImportFailed(f"{self.at(key)}: expected text, got {kind_of(value)}")
        return str(value)

    def number(self, key: str) -> Decimal | None:
        """Return a number of zero or more below, exactly as it is written."""
        return number_of(self.take(key), self.at(key))

    def whole(self, key: str) -> int | None:
        """Return a whole number below; a fraction is dropped."""
        found = self.number(key)
        return None if found is None else int(found)

    def flag(self, key: str) -> bool | None:
        """Return yes or no."""
        value = self.take(key)
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if value is None or isinstance(value, bool):
            return value
        raise ImportFailed(f"{self.at(key)}: expected true or false, got {kind_of(value)}")


def number_of(value: object, path: str) -> Decimal | None:
    """Return a number of zero or more, exactly; None for nothing. Raises ImportFailed with the path."""
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value)) if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or not 0 <= found <= 10**18:
        raise ImportFailed(f"{path}: expected a number of zero or more")
    return found


def kind_of(value: object) -> str:
    """Say what a value is, without saying it."""
    return "nothing" if value is None else _NAMES.get(type(value), "something else")
