"""The table of limits: one file in the data directory, in which all workers of a server count together."""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, final

from komeet.core.clock import Clock
from komeet.core.errors import Unavailable
from komeet.limits import gcra
from komeet.limits.limit import Grant, Kind, Limit, Taken, Verdict, Want
from komeet.store.errors import StoreError
from komeet.store.journal_file import boot_id
from komeet.store.limit_slots import SIZE, FullError, Slots, key_of

NAME: Final = "komeet.limits"
_HEAD: Final = struct.Struct("@8s16sq")
_MAGIC: Final = b"komeetL1"
_MOST_KEYS: Final = 1 << 17
_PAUSE: Final = 0.0002
_PATIENCE: Final = 0.25
"""Seconds. The lock is held for some ten microseconds; whoever is halted in them must not halt the others."""


def prepare(directory: Path, clock: Clock) -> None:
    """Make the table ready for a server's workers, of which there are none: no call is under way.

    What was taken of rates is kept, unless the machine has started since: its clock began anew.

    Raises:
        OSError: the file cannot be made.
    """
    path = directory / NAME
    boot, now = _boot(), clock.boot_ns()
    with suppress(OSError), path.open("r+b") as file:
        magic, was, since = _HEAD.unpack(file.read(_HEAD.size).ljust(_HEAD.size, b"\0"))
        if os.fstat(file.fileno()).st_size == SIZE and (magic, was) == (_MAGIC, boot) and since <= now:
            with closing(mmap.mmap(file.fileno(), SIZE)) as mapped:
                Slots(mapped).clear_counts()
            return
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+b") as file:  # noqa: PTH123
        # All of it, now: a page that the disk has no room for later would end the process that touches it.
        file.write(_HEAD.pack(_MAGIC, boot, now).ljust(SIZE, b"\0"))
    fresh.replace(path)


def clear_worker(directory: Path, session: str) -> int:
    """Forget the calls that a dead worker had under way, and return how many; blocks.

    Raises:
        StoreError: the table is not there, or halted.
    """
    try:
        file = os.open(directory / NAME, os.O_RDWR)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreError(f"The table of limits in {directory} cannot be used: {error.strerror or error}.") from error
    try:
        if not _locked(file, 5.0):
            raise StoreError(f"The table of limits in {directory} is held by another process.")
        with closing(mmap.mmap(file, SIZE)) as mapped:
            return Slots(mapped).clear_worker(key_of(session))
    finally:
        os.close(file)


@final
class LimitTable:
    """Takes and gives back, exactly over all workers (see `pipeline.limiting.Table`). For one thread.

    The lock is the system's on the open file: it goes with the process that holds it, however that ends.
    """

    __slots__ = ("_clock", "_file", "_keys", "_map", "_slots", "_worker")

    def __init__(self, directory: Path, clock: Clock, session: str) -> None:
        """Use a table that is prepared.

        Args:
            directory: has it.
            clock: the machine's.
            session: names this worker: what it has under way is found by it.

        Raises:
            StoreError: there is none, or one of another version.
            OSError: it cannot be opened.
        """
        self._clock: Final = clock
        self._worker: Final = key_of(session)
        self._keys: dict[Limit, tuple[bytes, bytes]] = {}
        """The keys of a limit's slots: its own, and of the part that this worker has."""
        self._file: Final = os.open(directory / NAME, os.O_RDWR)
        try:
            _check(self._file, directory)
            self._map: Final = mmap.mmap(self._file, SIZE)
        except BaseException:
            os.close(self._file)
            raise
        self._slots: Final = Slots(self._map)

    def take(self, wants: Sequence[Want]) -> Taken:
        """Take all that is wanted, or nothing; no I/O but the lock.

        Raises:
            Unavailable: the lock is not to be had, or there is no place in the table.
        """
        if not _locked(self._file, _PATIENCE):
            raise Unavailable("The limits of this gateway are not at hand; try again.", retry_after=1)
        try:
            return self._take(wants)
        except FullError:
            raise Unavailable("This gateway counts as many limits as it can; try again.", retry_after=60) from None
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def end(self, grants: Sequence[Grant], tokens: int | None) -> None:
        """Give back what calls under way count for, and correct tokens to what was used; never raises.

        Args:
            grants: what `take` gave.
            tokens: how many were used; None: that is not known, and what was taken stays taken.
        """
        if self._map.closed:
            return
        # Without the lock too: a call that is never counted out would count for as long as this worker lives.
        locked = _locked(self._file, 1.0)
        try:
            now = self._clock.boot_ns()
            for grant in grants:
                with suppress(FullError):
                    self._end(grant, tokens, now)
        finally:
            if locked:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let the file go; may be called twice."""
        if not self._map.closed:
            self._map.close()
            os.close(self._file)

    def _take(self, wants: Sequence[Want]) -> Taken:
        now = self._clock.boot_ns()
        slots = self._slots
        verdicts: list[Verdict] = []
        writes: list[tuple[Want, int, int]] = []
        """Where something is to be written, and what."""
        busy: list[int] = []
        fits = True
        for want in wants:
            limit = want.limit
            at = slots.place(self._keys_of(limit)[0], now, busy)
            busy.append(at)
            if limit.kind is Kind.CONCURRENT:
                after = slots.count(at) + want.units
                room = limit.amount - after
                fits_it = room >= 0 or not want.units
                verdict = Verdict(limit=limit, remaining=max(0, room if fits_it else room + want.units), fits=fits_it)
            else:
                level, was = slots.level(at)
                level = gcra.held(gcra.rescaled(level, was, limit), limit, now)
                verdict, after = gcra.judged(level, limit, want.units, now)
            fits &= verdict.fits
            verdicts.append(verdict)
            writes.append((want, at, after))
        if not fits:
            return Taken(self._untaken(wants, verdicts))
        grants: list[Grant] = []
        for want, at, after in writes:
            if want.units:
                self._write(want, at, after, now, busy)
                grants.append(Grant(want.limit, want.units, now))
        return Taken(tuple(verdicts), tuple(grants))

    def _untaken(self, wants: Sequence[Want], verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """Return how the limits stand, of which some refuse: those that would have admitted it had nothing taken."""
        as_they_are = self._take([Want(want.limit, 0) for want in wants]).verdicts
        return tuple(still if each.fits else each for each, still in zip(verdicts, as_they_are, strict=True))

    def _write(self, want: Want, at: int, after: int, now: int, busy: list[int]) -> None:
        limit, slots = want.limit, self._slots
        key, part = self._keys_of(limit)
        if limit.kind is not Kind.CONCURRENT:
            slots.set_level(at, key, after, limit)
            return
        # The part first: should this process be killed in between, the total is made from the parts.
        mine = slots.place(part, now, busy)
        busy.append(mine)
        slots.set_part(mine, part, slots.count(mine) + want.units, key, self._worker)
        slots.set_total(at, key, after)

    def _end(self, grant: Grant, tokens: int | None, now: int) -> None:
        limit, slots = grant.limit, self._slots
        key, part = self._keys_of(limit)
        match limit.kind:
            case Kind.REQUESTS:
                pass
            case Kind.CONCURRENT:
                at, mine = slots.place(key, now, ()), slots.place(part, now, ())
                slots.set_part(mine, part, max(0, slots.count(mine) - grant.units), key, self._worker)
                slots.set_total(at, key, max(0, slots.count(at) - grant.units))
            case Kind.TOKENS:
                if tokens is None or tokens == grant.units:
                    return
                at = slots.place(key, now, ())
                level, was = slots.level(at)
                level = gcra.held(gcra.rescaled(level, was, limit), limit, now)
                slots.set_level(at, key, gcra.corrected(level, grant, tokens, now), limit)

    def _keys_of(self, limit: Limit) -> tuple[bytes, bytes]:
        found = self._keys.get(limit)
        if found is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            whole = key_of(limit.identity)
            found = self._keys[limit] = (whole, key_of(f"{limit.identity}\n{self._worker.hex()}"))
        return found


def _check(file: int, directory: Path) -> None:
    if os.fstat(file).st_size != SIZE or os.pread(file, len(_MAGIC), 0) != _MAGIC:
        raise StoreError(f"The table of limits in {directory} is of another version of Komeet.")


def _locked(file: int, patience: float) -> bool:
    """Take the lock of the table; False where it is not to be had in so many seconds."""
    waited = 0.0
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited >= patience:
                return False
            time.sleep(_PAUSE)
            waited += _PAUSE
        else:
            return True


def _boot() -> bytes:
    """Return what tells this run of the machine from others; where the system has no such thing, the clock does."""
    return blake2b(boot_id().encode(), digest_size=16).digest()
