"""Where a place is, in Komeet's words: other gateways leave out, or add, parts of a path."""

import re
from typing import Final
from urllib.parse import urlsplit

from komeet.core.hosts import is_this_machine
from komeet.lab.imports.found import is_written
from komeet.providers.address import parse_base_url
from komeet.providers.registry import Row

_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_TAIL: Final = re.compile(r"-(api-)?(base|url|base-url|endpoint)$")
_LONGEST: Final = 48


def checked(url: str) -> str:
    """Return a base URL without what Komeet does not want of it.

    Raises:
        ValueError: it is none; the message holds nothing of a password.
    """
    parse_base_url(url)
    return url.rstrip("/")


def writable(url: str) -> str:
    """Return an address that can stand in a configuration as it is; raises ValueError where it cannot."""
    if not is_written(url):
        raise ValueError("it cannot be written as it is")
    return url


def completed(url: str, row: Row) -> str:
    """Return the address at which Komeet asks what another gateway asks at `url`.

    A row whose API starts under a path is asked there, where `url` names a host and no path, or the beginning of it.
    """
    _, path = parse_base_url(url)
    if "{" in row.base_url:
        return url
    _, wanted = parse_base_url(row.base_url)
    if not wanted or path.endswith(wanted):
        return url
    if not path or wanted.startswith(f"{path}/"):
        return f"{url[: len(url) - len(path)]}{wanted}"
    return url


def is_rows_own(url: str, row: Row) -> bool:
    """Whether a URL leads where the row does."""
    return row.placed and "{" not in row.base_url and parse_base_url(url) == parse_base_url(row.base_url)


def is_at_row(url: str, row: Row) -> bool:
    """Whether a URL leads to the row's host, by whatever path."""
    return row.placed and "{" not in row.base_url and parse_base_url(url)[0] == parse_base_url(row.base_url)[0]


def is_in_the_clear(url: str) -> bool:
    """Whether a key would be read on the way."""
    origin, _ = parse_base_url(url)
    return origin.scheme == "http" and not is_this_machine(origin.host)


def name_of(url: str) -> str:
    """Return what a provider at an address of somebody's own may be called."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("api.").removeprefix("www.")
    return as_name(f"{host}-{parts.port}" if parts.port else host)


def name_of_variable(variable: str) -> str:
    """Return the same for an address that a variable holds."""
    return as_name(_TAIL.sub("", _NOT_IN_NAMES.sub("-", variable.lower()).strip("-")))


def as_name(text: str) -> str:
    """Return a text as the name of a provider."""
    return _NOT_IN_NAMES.sub("-", text.lower()).strip("-")[:_LONGEST].strip("-") or "provider"
