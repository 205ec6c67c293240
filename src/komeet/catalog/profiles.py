"""The profiles of known models: ordered patterns, the first that matches wins."""

import re
from collections.abc import Sequence
from fnmatch import translate
from importlib.resources import files
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from komeet.catalog.profile import Profile

_Facts: TypeAlias = dict[str, str | int | bool | tuple[str, ...]]


class _Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    family: str
    models: tuple[str, ...]
    takes: _Facts


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    family: dict[str, _Facts] = {}
    line: tuple[_Line, ...] = ()


class Profiles:
    """Profiles by provider family and model name. Immutable."""

    def __init__(self, lines: Sequence[tuple[str, Sequence[str], Profile]]) -> None:
        families: dict[str, list[tuple[re.Pattern[str], Profile]]] = {}
        for family, models, profile in lines:
            pattern = re.compile("|".join(translate(model.lower()) for model in models))
            families.setdefault(family, []).append((pattern, profile))
        self._families: Final = families

    def find(self, family: str, model: str) -> Profile:
        """Return the profile of a model of a provider family; `Profile()` where nothing is known of it.

        The scan takes some microseconds: keep what it returns with the model.
        """
        name = model.lower()
        for pattern, profile in self._families.get(family, ()):
            if pattern.match(name):
                return profile
        return Profile()


def load() -> Profiles:
    """Read the packaged `profiles.toml`.

    Raises:
        ValueError: the file is damaged.
    """
    return parse(files("komeet.catalog").joinpath("profiles.toml").read_bytes())


def parse(text: bytes) -> Profiles:
    """Read profiles from TOML; raises ValueError with the path of the first mistake."""
    try:
        file = msgspec.toml.decode(text, type=_File)
        lines = [
            (line.family, line.models, msgspec.convert(file.family.get(line.family, {}) | line.takes, Profile))
            for line in file.line
        ]
        rest = [(family, ("*",), msgspec.convert(facts, Profile)) for family, facts in file.family.items()]
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    return Profiles([*lines, *rest])
