"""The key that `komeet chat` uses: the caller's, or one of its own that is kept in the data directory."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from komeet.access.keys import digest
from komeet.core.clock import SystemClock
from komeet.core.secrets import Secret
from komeet.store.database import DataFiles
from komeet.store.keys import create_key, list_keys

_FILE = "cli.key"
_NAME = "komeet chat"


class ChatKey(Struct, frozen=True, kw_only=True):
    """A key, and where it comes from."""

    secret: Secret
    given: bool
    """Whether it is KOMEET_API_KEY."""
    known: bool
    """Whether the ledger of this data directory has it, and will have what it costs."""


def chat_key(files: DataFiles, data_dir: Path, environment: Mapping[str, str]) -> ChatKey:
    """Return KOMEET_API_KEY, or this command's own key: whoever reads the data directory could make one anyway.

    Raises:
        OSError: its file cannot be written.
        StoreError: the store of keys cannot be used.
    """
    known = {key.digest for key in list_keys(files.ledger) if key.revoked_at is None}
    given = environment.get("KOMEET_API_KEY")
    if given:
        return ChatKey(secret=Secret(given), given=True, known=digest(given) in known)
    kept = _read(data_dir / _FILE)
    if kept is None or digest(kept) not in known:
        kept = create_key(files.ledger, SystemClock(), name=_NAME)[1].reveal()
        _write(data_dir / _FILE, kept)
    return ChatKey(secret=Secret(kept), given=False, known=True)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _write(path: Path, key: str) -> None:
    """Put the key there whole, readable by its owner only from its first byte on."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{_FILE}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(key + "\n")
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
