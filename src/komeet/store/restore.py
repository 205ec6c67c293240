"""Puts a backup in the place of a data directory's databases: checked first, then whole or not at all."""

from contextlib import closing
from pathlib import Path

from komeet.store.archive import LINES, Entry, Manifest, Reader, reading
from komeet.store.errors import StoreError
from komeet.store.lock import DirectoryLock
from komeet.store.schema import is_known
from komeet.store.snapshot import in_use, revision
from komeet.store.staging import new_file, staging, sync
from komeet.store.swap import commit, finish


def restore(archive: Path, data_dir: Path, *, force: bool = False) -> Manifest:
    """Restore the databases that a backup holds, and return its manifest; others there are left as they are.

    Nothing in the directory changes before all of the backup is there and checked. A crash leaves the old databases or
    the new ones: what was decided and not finished is finished when the directory is opened next.

    Args:
        archive: made by `back_up`.
        data_dir: is made if it is not there; needs free space for the databases once more.
        force: whether databases that are there may be replaced.

    Raises:
        StoreError: the backup is not whole, damaged or newer than this version; the directory is in use, holds
            databases and `force` is not set, or cannot be written.
    """
    try:
        with reading(archive) as reader:
            _require_known(archive, reader.manifest)
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(DirectoryLock(data_dir)):
                finish(data_dir)
                _require_free(reader.manifest, data_dir, force)
                with staging(data_dir) as part:
                    new = part / "new"
                    new.mkdir(mode=0o700)
                    for entry in reader.manifest.files:
                        _unpack(archive, reader, entry, new)
                    reader.end()
                    _require_unused(reader.manifest, data_dir)
                    commit(new, data_dir)
                finish(data_dir)
            return reader.manifest
    except OSError as error:
        raise StoreError(f"{archive} cannot be restored into {data_dir}: {error.strerror or error}.") from error


def _require_known(archive: Path, manifest: Manifest) -> None:
    for entry in manifest.files:
        if not is_known(entry.schema, LINES[entry.name]):
            raise StoreError(
                f"{archive} was written by a newer version of Komeet ({manifest.komeet}; its {entry.name} has schema "
                f"{entry.schema}, this version knows {LINES[entry.name].head}). Install that version or a newer one."
            )


def _require_free(manifest: Manifest, data_dir: Path, force: bool) -> None:
    there = [entry.name for entry in manifest.files if (data_dir / entry.name).exists()]
    if there and not force:
        raise StoreError(
            f"{data_dir} holds {' and '.join(there)} already: back that up first, then --force replaces it; "
            "or name another --data-dir."
        )


def _require_unused(manifest: Manifest, data_dir: Path) -> None:
    """Commands take no lock: one that has a database open would go on with what is no longer there."""
    for entry in manifest.files:
        old = data_dir / entry.name
        if old.exists() and in_use(old):
            raise StoreError(f"Another process has {old} open. Wait until it ends, then restore again.")


def _unpack(archive: Path, reader: Reader, entry: Entry, folder: Path) -> None:
    path = folder / entry.name
    with new_file(path) as file:
        reader.copy(entry, file)
    try:
        found = revision(path)
    except StoreError as error:
        raise StoreError(f"{archive} cannot be restored: {error}.") from error
    if found != entry.schema:
        raise StoreError(f"{archive} cannot be restored: {entry.name} has schema {found}, its manifest says otherwise.")
    sync(path)
