"""What the last run of each client said, kept beside the manifest: the page is made of it."""

from typing import Final

import msgspec
from tests.clients.manifest import HERE

FILE: Final = HERE / "results.json"


class Ran(msgspec.Struct, omit_defaults=True):
    """One client on one surface with one provider."""

    passed: int = 0
    failed: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    skipped: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Result(msgspec.Struct):
    """All that one client ran: by surface, by the format of the provider (or `embedded`)."""

    version: str
    runs: dict[str, dict[str, Ran]]


def read() -> dict[str, Result]:
    """Return the results by client."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Result]) if FILE.exists() else {}


def write(results: dict[str, Result]) -> None:
    """Keep them."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(results, order="sorted"), indent=1) + b"\n")
