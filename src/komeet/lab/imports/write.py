"""Writes a configuration as the file that Komeet reads."""

from decimal import Decimal
from typing import Any, cast

import yaml

from komeet.lab.imports.found import Imported

_WIDTH = 100


def written(imported: Imported, of: str) -> str:
    """Return the configuration as YAML, with the variables that it needs above it.

    Args:
        imported: what an import came to.
        of: what it was made from, for the first line.
    """
    head = [f"# Made by `komeet import` from {of}. No key is in here: each is a variable of the environment."]
    head += [f"#   {each.name}: {each.why}" for each in imported.variables]
    return "\n".join(_commented(head)) + "\n\n" + dumped(imported.config)


def dumped(config: dict[str, Any]) -> str:
    """Return a configuration as YAML; numbers stay exactly what they are."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=_WIDTH)


def _commented(lines: list[str]) -> list[str]:
    return ["".join(sign if sign.isprintable() else "?" for sign in line) for line in lines]


def _plain(value: object) -> object:
    """Return the same without `Decimal`: a float where it says exactly that, or else its digits as text."""
    match value:
        case Decimal():
            if value == value.to_integral_value():
                return int(value)
            digits = f"{value.normalize():f}"
            as_float = float(value)
            return as_float if Decimal(str(as_float)) == value and "e" not in repr(as_float) else digits
        case dict():
            return {key: _plain(entry) for key, entry in cast("dict[str, object]", value).items()}
        case list() | tuple():
            return [_plain(entry) for entry in cast("list[object]", value)]
        case _:
            return value
