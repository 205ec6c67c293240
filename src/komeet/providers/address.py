"""Base URLs: where a provider's API starts."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from komeet.core.http import Origin

_PORTS: Final = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/*")


def parse_base_url(url: str) -> tuple[Origin, str]:
    """Return where `url` connects to, and the path that precedes every path of the API (`/v1`, or nothing).

    Raises:
        ValueError: it is not an absolute http or https URL, or carries more than an origin and a path (a user, a query,
            a fragment, `..`); the message holds nothing of a password.
    """
    parts, port = _split(url)
    if parts.scheme not in _PORTS:
        raise ValueError("a base URL starts with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("a base URL holds no user or password; the key goes where keys are configured")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("a base URL has no query and no fragment")
    host = (parts.hostname or "").rstrip(".")
    if not _HOST.fullmatch(host):
        raise ValueError("a base URL names a host in ASCII: https://api.example.com/v1")
    if not _PATH.fullmatch(parts.path) or any(segment in {".", ".."} for segment in parts.path.split("/")):
        raise ValueError("the path of a base URL is plain: /v1 or /openai/v1")
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme]), parts.path.rstrip("/")


def at_host(url: str, host: str) -> str:
    """Return `url` moved to another host, as programs name one (`box`, `box:11434`, `http://box:11434/`).

    What `host` leaves out (scheme, port, path) stays as it is in `url`. Raises ValueError as `parse_base_url` does.
    """
    origin, path = parse_base_url(url)
    stated = "://" in host
    other, other_path = parse_base_url(host if stated else f"{origin.scheme}://{host}")
    _, port = _split(host if stated else f"//{host}")
    if port is None:
        port = other.port if stated and other.scheme != origin.scheme else origin.port
    name = f"[{other.host}]" if ":" in other.host else other.host
    return f"{other.scheme}://{name}:{port}{other_path or path}"


def _split(url: str) -> tuple[SplitResult, int | None]:
    if any(character <= " " or character in "\x7f\\" for character in url):
        raise ValueError("a base URL has no spaces, control characters or backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    return parts, port
