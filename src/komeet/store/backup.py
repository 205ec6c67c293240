"""Backs a data directory up into one file, while a server writes to it."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from komeet.core.clock import Clock
from komeet.store.archive import FORMAT, Entry, Manifest, digest, reading, write
from komeet.store.catching_up import catch_up
from komeet.store.engine import LEDGER_FILE, REQUESTS_FILE
from komeet.store.errors import StoreError
from komeet.store.snapshot import revision, snapshot
from komeet.store.staging import new_file, staging, sync
from komeet.store.swap import unfinished


def back_up(
    data_dir: Path,
    target: Path,
    clock: Clock,
    *,
    version: str,
    wanted: Sequence[str] = (LEDGER_FILE, REQUESTS_FILE),
) -> tuple[Path, Manifest]:
    """Write the databases of a data directory to a new file, read it again to check it, and return where it is.

    Each database is as of one moment; that of the ledger is the later one, and waits until the journals are in it, so
    that it has every call that was held before, and every one that the request log has. Until the file is whole and
    checked it has another name. It needs free space for the databases and the archive, in the archive's folder.

    Args:
        data_dir: may be in use.
        target: the file; or a folder, in which it gets a name with its time.
        clock: says when it is.
        version: of this Komeet, for the manifest.
        wanted: which databases: the ledger, which must be there, the request log with the prompts that are kept in it.

    Raises:
        StoreError: there is nothing to back up, it is damaged, or the file is there already or cannot be written.
    """
    if unfinished(data_dir):
        raise StoreError(f"A restore into {data_dir} was interrupted: any other command ends it, `komeet usage` say.")
    if not (data_dir / wanted[0]).exists():
        raise StoreError(f"There is no data of Komeet in {data_dir}.")
    now = clock.unix_ms() // 1000
    path = _named(target, now)
    if path.exists():
        raise StoreError(f"{path} exists already.")
    try:
        with staging(path.parent) as part:
            behind, files = _copied(data_dir, part, wanted, clock)
            manifest = Manifest(
                format=FORMAT, komeet=version, at=_moment(now, "%Y-%m-%dT%H:%M:%SZ"), files=files, behind=behind
            )
            whole = part / "archive"
            with new_file(whole) as file:
                write(file, manifest, part, now)
            sync(whole)
            check(whole)
            whole.rename(path)
            sync(path.parent)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path, manifest


def check(archive: Path) -> Manifest:
    """Read a backup to its end, and return its manifest.

    Raises:
        StoreError: it is not whole, or not what its manifest says.
        OSError: it cannot be read.
    """
    with reading(archive) as reader:
        for entry in reader.manifest.files:
            reader.copy(entry)
        reader.end()
        return reader.manifest


def _copied(data_dir: Path, part: Path, wanted: Sequence[str], clock: Clock) -> tuple[int, tuple[Entry, ...]]:
    """Copy the databases that are there, and return them in the order of the archive: the ledger first.

    Before them: how many journals have records that the ledger has not.
    """
    behind = 0
    files: list[Entry] = []
    for name in sorted(wanted, reverse=True):
        if not (data_dir / name).exists():
            continue
        try:
            if name == LEDGER_FILE:
                behind = catch_up(data_dir, data_dir / name, clock)
            files.insert(0, _copy(data_dir, part, name))
        except sqlite3.Error as error:
            raise StoreError(f"{data_dir / name} cannot be backed up: {error}.") from error
        except StoreError as error:
            raise StoreError(f"{data_dir} cannot be backed up: {error}.") from error
    return behind, tuple(files)


def _copy(data_dir: Path, part: Path, name: str) -> Entry:
    copy = part / name
    snapshot(data_dir / name, copy)
    schema = revision(copy)
    with copy.open("rb") as file:
        return Entry(name=name, schema=schema, bytes=copy.stat().st_size, sha256=digest(file))


def _named(target: Path, now: int) -> Path:
    folder = target.is_dir()
    return (target / f"komeet-{_moment(now, '%Y%m%dT%H%M%SZ')}.tar.gz" if folder else target).absolute()


def _moment(unix_seconds: int, form: str) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime(form)
