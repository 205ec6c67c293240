"""Puts restored databases in the place of old ones: all of them or none, whatever happens in between.

The new files wait, whole, in one folder, which gets its name by one rename: that is the moment at which the restore has
happened. What is left, putting them in place, is done again from where it stopped by whoever opens the data directory
next.
"""

import shutil
from pathlib import Path

from komeet.store.staging import sync

_WAITING = "restoring"
_SIDE_FILES = ("-wal", "-shm", "-journal")


def commit(new: Path, data_dir: Path) -> None:
    """Decide for the files in the folder `new`, which is moved; `finish` puts them in place.

    Args:
        new: on the same file system; its files are on the disk already.
        data_dir: locked by this process, and not `unfinished`.
    """
    sync(new)
    new.rename(data_dir / _WAITING)
    sync(data_dir)


def unfinished(data_dir: Path) -> bool:
    """Whether there are files that `finish` has to put in place before anything is opened."""
    return (data_dir / _WAITING).is_dir()


def finish(data_dir: Path) -> None:
    """Put files that were decided for in place; nothing happens where there are none.

    Args:
        data_dir: locked by this process, with none of its databases open.
    """
    waiting = data_dir / _WAITING
    if not waiting.is_dir():
        return
    for file in sorted(waiting.iterdir()):
        # An old write-ahead log would be read into the new database: it goes first, and for good.
        for suffix in _SIDE_FILES:
            (data_dir / f"{file.name}{suffix}").unlink(missing_ok=True)
        sync(data_dir)
        file.replace(data_dir / file.name)
    sync(data_dir)
    shutil.rmtree(waiting)
