"""The response cache as calls see it: where answers are kept, and which calls are about to have one."""

import asyncio
from typing import Final, Protocol, final

from komeet.cache.entry import Entry
from komeet.cache.policy import Policy
from komeet.core.clock import Clock


class Answers(Protocol):
    """Where answers are kept. It fails open: what cannot be found was never there."""

    async def find(self, tenant: str, digest: bytes, *, since: int) -> Entry | None:
        """Return what is kept for a tenant, if it has not expired and was made after `since` (Unix milliseconds)."""
        ...

    async def keep(self, tenant: str, digest: bytes, entry: Entry) -> None:
        """Keep an answer in place of the one that may be there; never raises."""
        ...


@final
class Flight:
    """A call that may have an answer soon; the same ones wait for it."""

    __slots__ = ("_landed", "began")

    def __init__(self, began: float) -> None:
        self.began: Final = began
        """Monotonic seconds."""
        self._landed: Final[asyncio.Future[Entry | None]] = asyncio.get_running_loop().create_future()

    def land(self, entry: Entry | None) -> None:
        """Tell those who wait; None: they have to go on by themselves. May be called twice: the first counts."""
        if not self._landed.done():
            self._landed.set_result(entry)

    async def wait(self, seconds: float) -> Entry | None:
        """Return the answer; None: there is none, or not within `seconds`."""
        done, _ = await asyncio.wait([self._landed], timeout=seconds)
        return self._landed.result() if done else None


@final
class Cache:
    """What a process has of the response cache."""

    __slots__ = ("_clock", "_flights", "answers", "policy")

    def __init__(self, answers: Answers, policy: Policy, clock: Clock) -> None:
        self.answers: Final = answers
        self.policy: Final = policy
        self._clock: Final = clock
        self._flights: Final[dict[bytes, Flight]] = {}

    def under_way(self, digest: bytes) -> Flight | None:
        """Return the call of this question that is under way; not one that takes longer than anybody waits."""
        flight = self._flights.get(digest)
        if flight is None or self._clock.monotonic() - flight.began > self.policy.wait:
            return None
        return flight

    def begin(self, digest: bytes) -> Flight:
        """Say that a call of this question is under way; `end` must follow."""
        flight = self._flights[digest] = Flight(self._clock.monotonic())
        return flight

    def end(self, digest: bytes, flight: Flight) -> None:
        """Say that it is under way no longer."""
        flight.land(None)
        if self._flights.get(digest) is flight:
            del self._flights[digest]
