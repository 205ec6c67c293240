"""Random lives of calls, through a real ledger: they are refused, leave, fail, are lost, cost less or more."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from tests.store.ledgers import subject_of

from komeet.access.keys import Key
from komeet.core.clock import Clock
from komeet.core.errors import BudgetExceeded, Unavailable
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Ledger, Outcome, State

MOST = 100
"""The most that a call holds, in nano-dollars."""


@dataclass
class Lifecycles:
    """Calls of many keys at once."""

    ledger: Ledger
    clock: Clock
    keys: Sequence[Key]
    chance: Random
    name: str
    overruns: float = 0.0
    """Which part of those that are billed is billed more than it held."""
    orphans: float = 0.0
    """Which part is lost sight of."""
    counted: Counter[str] = field(default_factory=Counter[str])

    async def run(self, calls: int, callers: int = 20) -> Counter[str]:
        """Make so many calls, by so many callers; return how many had which fate."""
        numbers = iter(range(calls))
        self._names = count()

        async def caller() -> None:
            for _ in numbers:
                task = asyncio.create_task(self._call())
                if self.chance.random() < 0.15:
                    await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.02, 0.1]))
                    task.cancel()
                await asyncio.wait([task])
                fate = "left" if task.cancelled() else task.result()
                self.counted[fate] += 1

        await asyncio.gather(*(caller() for _ in range(callers)))
        return self.counted

    async def _call(self) -> str:
        key = self.chance.choice(self.keys)
        hold = Hold(
            attempt_id=f"att_{self.name}_{next(self._names):06d}",
            request_id="req",
            key_id=key.id,
            accounts=(key.account, *key.above),
            provider=self.chance.choice(("openai", "groq")),
            model="m",
            model_asked="m",
            amount=Nano(self.chance.randint(0, MOST)),
            held_at=self.clock.unix_ms(),
        )
        try:
            await self.ledger.hold(hold, subject_of(key))
        except BudgetExceeded:
            return "refused"
        except Unavailable:
            return "unavailable"
        try:
            await asyncio.sleep(self.chance.choice([0, 0.001, 0.005]))
        except asyncio.CancelledError:
            self._end(hold, State.VOIDED)
            raise
        return self._end(hold, self._state())

    def _state(self) -> State:
        drawn = self.chance.random()
        if drawn < self.orphans:
            return State.ORPHAN
        return State.VOIDED if drawn > 0.8 else State.SETTLED

    def _end(self, hold: Hold, state: State) -> str:
        cost = self.chance.randint(0, hold.amount) if state is State.SETTLED else 0
        beyond = state is State.SETTLED and self.chance.random() < self.overruns
        outcome = Outcome(
            attempt_id=hold.attempt_id,
            state=state,
            cost=Nano(hold.amount + 1 if beyond else cost),
            ended_at=self.clock.unix_ms(),
        )
        self.ledger.end(outcome)
        return "overrun" if beyond else state.value
