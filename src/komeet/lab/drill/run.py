"""The drill itself: one scenario after the other, each call with a gateway that is well before it."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, Protocol, final

from komeet.core.clock import Clock
from komeet.lab.drill.caller import Target, make
from komeet.lab.drill.judge import account, judge, reached, sum_up
from komeet.lab.drill.scenario import HEALTHY, Call, Ended, Made, Outcome, Scenario, Verdict
from komeet.lab.drill.upstream import Upstreams

_PAUSE: Final = 0.1
_LEAVING: Final = 5.0
"""Seconds in which an upstream has to be left once the caller has gone."""
ACCOUNTING: Final = "accounting"


class NotThere(Exception):
    """The gateway does not answer a call, or not by the upstreams; the message says what it does instead."""


class Books(Protocol):
    """Says what a gateway has written down of calls."""

    async def compare(self, made: Sequence[Made]) -> Verdict:
        """Compare it with the upstreams' logs."""
        ...


@final
class Drill:
    """Drills one gateway."""

    __slots__ = ("_clock", "_made", "_numbers", "_target", "_upstreams")

    def __init__(self, target: Target, upstreams: Upstreams, clock: Clock) -> None:
        self._target = target
        self._upstreams = upstreams
        self._clock = clock
        self._numbers = count(1)
        self._made: Final[list[Made]] = []

    async def await_gateway(self, seconds: float) -> None:
        """Return once the gateway answers by the first upstream.

        Args:
            seconds: how long it may take until it does.

        Raises:
            NotThere: it has not.
        """
        if not await self._is_well(seconds):
            made = await self._call(Call((HEALTHY,)))
            asked = "asked neither upstream" if not made.asked else "asked the second upstream, and not the first"
            said = made.seen.body[:300].decode("utf-8", "replace") if made.seen.status else made.seen.ended.value
            raise NotThere(f"{self._target.url} {asked}, and answered: {made.seen.status} {said}")

    async def run(
        self, scenarios: Sequence[Scenario], books: Books | None, told: Callable[[Outcome], None]
    ) -> tuple[Outcome, ...]:
        """Try every scenario, then compare the books.

        Args:
            scenarios: what is tried.
            books: the gateway's, where they can be read; None: the usage in its answers is all that there is.
            told: called with each outcome as it comes.
        """
        found: list[Outcome] = []
        for scenario in scenarios:
            found.append(await self._try(scenario))
            told(found[-1])
        verdict = account(self._made) if books is None else await books.compare(self._made)
        found.append(Outcome(ACCOUNTING, verdict.result, verdict.why))
        told(found[-1])
        return tuple(found)

    async def _try(self, scenario: Scenario) -> Outcome:
        made: list[Made] = []
        for call in scenario.calls:
            await self._is_well(self._target.patience)
            made.append(await self._call(call))
        # What was asked late for an earlier call, after its answer, counts too.
        made = [Made(one.number, one.call, one.seen, self._upstreams.asked(one.number)) for one in made]
        self._made.extend(made)
        verdict = sum_up([judge(one) for one in made], unreached=sum(not reached(one) for one in made))
        return Outcome(scenario.name, verdict.result, verdict.why)

    async def _call(self, call: Call) -> Made:
        number = next(self._numbers)
        self._upstreams.play(number, call)
        seen = await make(self._target, call, number, self._clock)
        if seen.ended is Ended.LEFT:
            await self._upstreams.left(number, _LEAVING)
        return Made(number, call, seen, self._upstreams.asked(number))

    async def _is_well(self, seconds: float) -> bool:
        """Wait until the gateway asks the first upstream, which answers as it should; return whether it does."""
        end = self._clock.monotonic() + seconds
        while True:
            made = await self._call(Call((HEALTHY,)))
            if made.seen.status == 200 and any(one.first for one in made.asked):
                return True
            if self._clock.monotonic() >= end:
                return False
            await asyncio.sleep(_PAUSE)
