"""A backup as a file: a gzipped tar of a manifest and the databases that it names, each with its digest."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, final

import msgspec
from msgspec import Struct

from komeet.store.engine import LEDGER_FILE, REQUESTS_FILE
from komeet.store.errors import StoreError
from komeet.store.schema import LEDGER_LINE, REQUESTS_LINE, Line

LINES: Final[Mapping[str, Line]] = {LEDGER_FILE: LEDGER_LINE, REQUESTS_FILE: REQUESTS_LINE}
"""The databases of a data directory, and whose schema each has."""

FORMAT: Final = 1
_MANIFEST = "manifest.json"
_MANIFEST_MOST = 64 << 10
_PIECE = 1 << 20
_LEVEL = 1
"""Of gzip: a server is running beside it, and higher levels take thrice the time for a tenth of the size."""


class Entry(Struct, frozen=True, kw_only=True):
    """One database of a backup."""

    name: str
    schema: str
    """The revision of its schema."""
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int
    """Of the archive."""
    komeet: str
    """The version that wrote it."""
    at: str
    """When: RFC 3339, UTC."""
    files: tuple[Entry, ...]
    behind: int = 0
    """Processes whose last records are not in it: they had been killed, or could not write."""


class _Wrong(Exception):
    """What is wrong with an archive: the end of a sentence about it."""


class _Outside(Struct, frozen=True):
    """What any manifest has, of whichever format."""

    format: int
    komeet: str = "unknown"


def digest(file: BinaryIO, target: BinaryIO | None = None) -> str:
    """Return the SHA-256 of what is left of a file; `target` gets a copy."""
    found = hashlib.sha256()
    while piece := file.read(_PIECE):
        found.update(piece)
        if target is not None:
            target.write(piece)
    return found.hexdigest()


def write(target: BinaryIO, manifest: Manifest, folder: Path, unix_seconds: int) -> None:
    """Write an archive of the files that the manifest names, from `folder`."""
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=_LEVEL) as archive:
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        archive.addfile(_member(_MANIFEST, len(text), unix_seconds), BytesIO(text))
        for entry in manifest.files:
            with (folder / entry.name).open("rb") as file:
                archive.addfile(_member(entry.name, entry.bytes, unix_seconds), file)


@final
class Reader:
    """An archive that is read from its beginning to its end, once; inside `reading`, which says what is wrong."""

    __slots__ = ("_archive", "_unzipped", "manifest")

    def __init__(self, archive: tarfile.TarFile, unzipped: gzip.GzipFile) -> None:
        self._archive = archive
        self._unzipped = unzipped
        self.manifest = _manifest(self._next(_MANIFEST, None))

    def copy(self, entry: Entry, target: BinaryIO | None = None) -> None:
        """Read the next file of the manifest, into `target` or only to check that it is what the manifest says."""
        if digest(self._next(entry.name, entry.bytes), target) != entry.sha256:
            raise _Wrong(f"{entry.name} is damaged: its digest is not the one in the manifest")

    def end(self) -> None:
        """Check that nothing follows, and that the file was not cut after the last of its content."""
        if self._archive.next() is not None:
            raise _Wrong("it holds more than its manifest says")
        while self._unzipped.read(_PIECE):  # zeros; gzip checks its own sum at their end
            pass

    def _next(self, name: str, size: int | None) -> BinaryIO:
        member = self._archive.next()
        if member is None or member.name != name or not member.isreg():
            raise _Wrong(f"{name} is missing, or not in its place")
        if member.size > _MANIFEST_MOST if size is None else member.size != size:
            raise _Wrong(f"{name} has another size than the manifest says")
        # Where a member goes is never the archive's to say: only its bytes are read.
        content = self._archive.extractfile(member)
        assert content is not None
        return content  # pyright: ignore[reportReturnType] - IO[bytes] has all that is used of it


@contextmanager
def reading(path: Path) -> Generator[Reader]:
    """Open an archive, and read its manifest; whatever is wrong with it, also later in the block, is a StoreError.

    Raises:
        StoreError: it is not a whole backup, or one of a newer format; says which file and why.
        OSError: the file cannot be read.
    """
    try:
        with gzip.open(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as archive:
            yield Reader(archive, unzipped)
    except (_Wrong, tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StoreError(f"{path} is not a whole backup of Komeet: {error}.") from error


def _member(name: str, size: int, unix_seconds: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, unix_seconds
    return member


def _manifest(file: BinaryIO) -> Manifest:
    text = file.read(_MANIFEST_MOST)
    try:
        outside = msgspec.json.decode(text, type=_Outside)
        if outside.format != FORMAT:
            raise _Wrong(f"it was written by Komeet {outside.komeet}, in a format that this version does not know")
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a mistake in types too
        raise _Wrong(f"its manifest cannot be read: {error}") from error
    names = [entry.name for entry in manifest.files]
    if not names or len(names) != len(set(names)) or not set(names) <= LINES.keys():
        raise _Wrong("its manifest does not name the databases of Komeet")
    return manifest
