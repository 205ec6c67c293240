"""The compiled price book, kept in a file between starts: compiling takes a second, reading it a few milliseconds."""

import logging
import os
import tempfile
from hashlib import sha256
from pathlib import Path

from komeet.catalog.book import Book, book_name, book_version
from komeet.catalog.compile import compile_book
from komeet.config.load import ConfigError

_log = logging.getLogger("komeet.prices")
_DIGEST = 32


def load_book(data_dir: Path) -> Book:
    """Return the price book, from `data_dir`/cache where it is already compiled for this release.

    Raises:
        ConfigError: the release of the prices that is installed says what Komeet cannot read.
    """
    path = data_dir / "cache" / book_name()
    try:
        return Book.decode(_checked(path.read_bytes()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        _log.warning("compiling prices anew: %s: %s", path, error)
    try:
        book = compile_book()
    except ValueError as error:
        raise ConfigError(
            f"the prices of {book_version()} cannot be read ({error}): install another release of the package"
        ) from error
    data = book.encode()
    try:
        _keep(path, sha256(data).digest() + data)
    except OSError as error:
        _log.warning("compiled prices are not kept: %s: %s", path, error)
    return book


def _checked(kept: bytes) -> bytes:
    """Return what was kept; raises ValueError where it is not what was written."""
    digest, data = kept[:_DIGEST], kept[_DIGEST:]
    if sha256(data).digest() != digest:
        raise ValueError("it is damaged")
    return data


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
