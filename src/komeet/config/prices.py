"""The compiled price book, kept in a file between starts: compiling takes a second, reading it a few milliseconds."""

import logging
import os
import tempfile
from pathlib import Path

from komeet.catalog.book import Book, book_name
from komeet.catalog.compile import compile_book

_log = logging.getLogger("komeet.prices")


def load_book(data_dir: Path) -> Book:
    """Return the price book, from `data_dir`/cache where it is already compiled for this release."""
    path = data_dir / "cache" / book_name()
    try:
        return Book.decode(path.read_bytes())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        _log.warning("compiling prices anew: %s: %s", path, error)
    book = compile_book()
    try:
        _keep(path, book.encode())
    except OSError as error:
        _log.warning("compiled prices are not kept: %s: %s", path, error)
    return book


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
