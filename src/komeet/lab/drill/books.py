"""What the ledger of the drill's own Komeet says of each call, beside the upstreams' logs."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, final

from sqlalchemy import Engine

from komeet.core.clock import Clock
from komeet.lab.drill.scenario import Asked, Made, Refuses, Result, Usage, Verdict
from komeet.ledger.port import State
from komeet.store.auditor import audit_all
from komeet.store.database import Store
from komeet.store.shown import Shown, find_attempts

_SECONDS: Final = 10.0
"""In which every attempt has to have its end."""


@final
class OwnBooks:
    """Reads the ledger beside the server."""

    __slots__ = ("_clock", "_data_dir")

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._data_dir = data_dir
        self._clock = clock

    async def compare(self, made: Sequence[Made]) -> Verdict:
        """Compare every attempt with what reached an upstream, and audit the books."""
        files = Store.open_for_cli(self._data_dir)
        try:
            wrong: list[str] = []
            attempts = 0
            for one in made:
                shown = await self._ended(files.ledger, one.seen.headers.get("x-request-id", ""))
                attempts += len(shown)
                wrong += [f"call {one.number}: {what}" for what in differences(one, shown)]
            wrong += audit_all(files.ledger)
        finally:
            files.close()
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            return Verdict(Result.FAIL, wrong[0] + more)
        return Verdict(Result.PASS, f"{len(made)} calls, {attempts} attempts: the ledger has what the upstreams saw")

    async def _ended(self, ledger: Engine, request_id: str) -> list[Shown]:
        end = self._clock.monotonic() + _SECONDS
        while True:
            found = find_attempts(ledger, request_id) if request_id else []
            if found and all(one.ended is not None for one in found):
                return found
            if self._clock.monotonic() >= end:
                return found
            await asyncio.sleep(0.1)


def differences(made: Made, shown: Sequence[Shown]) -> Iterator[str]:
    """Yield what the ledger has otherwise than the upstreams saw it."""
    if len(shown) != len(made.asked):
        yield f"{len(made.asked)} requests reached the upstreams, and the ledger has {len(shown)}"
        return
    for asked, attempt in zip(made.asked, shown, strict=True):
        if attempt.ended is None:
            yield f"an attempt with {attempt.hold.provider} has no end"
            continue
        yield from _different(asked, attempt)


def _different(asked: Asked, attempt: Shown) -> Iterator[str]:
    assert attempt.ended is not None
    outcome = attempt.ended.outcome
    who = attempt.hold.provider
    if (who == "first") != asked.first:
        yield f"{who} is in the ledger, where the other one was asked"
    if isinstance(asked.act, Refuses) and outcome.state is not State.VOIDED:
        yield f"{who} refused, and the ledger says {outcome.state}"
    if asked.usage is not None and not outcome.estimated:
        kept = Usage(outcome.usage.input, outcome.usage.output)
        if kept != asked.usage:
            yield f"{who} told {asked.usage.prompt}+{asked.usage.completion} tokens, the ledger has {kept}"
    if asked.usage is not None and outcome.estimated:
        yield f"{who} told its usage, and the ledger has an estimate"
