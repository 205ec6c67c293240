"""On PYTHONPATH, counts every Python call of the main thread from its start (cProfile), with no change to the program.

Writes the counts to $BENCH_CALLS/<pid>.calls as soon as $BENCH_CALLS/stop exists, however the program ends later.
"""

import cProfile
import marshal
import os
import threading
import time
from pathlib import Path


def _write_when_asked(profile: cProfile.Profile, folder: Path) -> None:
    while not (folder / "stop").exists():
        time.sleep(0.05)
    profile.snapshot_stats()
    part = folder / f"{os.getpid()}.part"
    part.write_bytes(marshal.dumps(profile.stats))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    part.rename(part.with_suffix(".calls"))


if folder := os.environ.get("BENCH_CALLS"):
    profile = cProfile.Profile()
    threading.Thread(target=_write_when_asked, args=(profile, Path(folder)), daemon=True).start()
    profile.enable()
