"""Tells of budgets that have come to a threshold: a line in the log, a metric, and a webhook where there is one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Final, final

import msgspec

from komeet.access.signature import HEADER, sign
from komeet.core.clock import Clock
from komeet.core.errors import KomeetError
from komeet.core.http import Headers
from komeet.core.money import dollars
from komeet.core.secrets import Secret
from komeet.ledger.budget import bounds
from komeet.ledger.thresholds import Crossing

_LOG = logging.getLogger("komeet.budgets")
_LOOK: Final = 0.25
"""Seconds between two looks at what was crossed."""
_PAUSES: Final = (1.0, 5.0, 25.0, 125.0)
"""Seconds before each further attempt at a webhook."""
_AT_ONCE: Final = 8
"""Webhooks that are sent at the same time; the others wait."""

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""Starts supervised work: a name for it, and the work."""
Post = Callable[[Headers, bytes], Awaitable[int]]
"""Sends headers and a body to the webhook, and returns the status; raises KomeetError where there is none."""


@final
class Crossings:
    """Takes crossings from the ledger, and tells of each once.

    A webhook is sent again where it was not taken, some times; each time the same body, signed anew. What was not
    delivered when the process ends is in its log.
    """

    def __init__(
        self,
        take: Callable[[], Sequence[Crossing]],
        count: Callable[[Crossing], None],
        clock: Clock,
        webhook: tuple[Post, Secret] | None = None,
        pauses: Sequence[float] = _PAUSES,
    ) -> None:
        """Do nothing yet: `start` does.

        Args:
            take: returns what was crossed since the last time.
            count: of the metric.
            clock: says when a webhook is signed.
            webhook: where it goes, and the secret that it is signed with.
            pauses: seconds before each further attempt.
        """
        self._take: Final = take
        self._count: Final = count
        self._clock: Final = clock
        self._webhook: Final = webhook
        self._pauses: Final = tuple(pauses)
        self._stopping: Final = asyncio.Event()
        self._places: Final = asyncio.Semaphore(_AT_ONCE)

    async def start(self, spawn: Spawn) -> None:
        """Look from now on, in a task that `spawn` starts."""
        spawn("crossings", self._watch(spawn))

    async def stop(self) -> None:
        """End the task; what is being sent is tried once more, at once."""
        self._stopping.set()

    def tell(self) -> list[Crossing]:
        """Write and count what was crossed since the last time, and return it."""
        taken = list(self._take())
        for crossing in taken:
            budget = crossing.budget
            _LOG.warning(
                "budget %d of %s: %d %% of $%s is spent: $%s (%s)",
                budget.id,
                budget.title,
                crossing.percent,
                dollars(budget.amount),
                dollars(crossing.posted),
                "hard" if budget.hard else "soft",
            )
            self._count(crossing)
        return taken

    async def _watch(self, spawn: Spawn) -> None:
        while not await self._stops_within(_LOOK):
            self._send(spawn)
        self._send(spawn)

    def _send(self, spawn: Spawn) -> None:
        for crossing in self.tell():
            if self._webhook is not None:
                spawn("webhook of a budget", self._deliver(crossing, *self._webhook))

    async def _deliver(self, crossing: Crossing, post: Post, secret: Secret) -> None:
        body = event(crossing)
        async with self._places:
            for pause in (*self._pauses, None):
                said = await self._attempt(post, secret, body)
                if said is None:
                    return
                if pause is None or self._stopping.is_set():
                    _LOG.error("budget %d: its webhook was not delivered: %s", crossing.budget.id, said)
                    return
                await self._stops_within(pause)

    async def _attempt(self, post: Post, secret: Secret, body: bytes) -> str | None:
        """What went wrong; None: it was taken."""
        signature = sign(secret, body, self._clock.unix_ms() // 1000)
        headers = ((b"content-type", b"application/json"), (b"user-agent", b"komeet"), (HEADER, signature))
        try:
            status = await post(headers, body)
        except KomeetError as error:
            return error.message
        return None if 200 <= status < 300 else f"status {status}"

    async def _stops_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True


def event(crossing: Crossing) -> bytes:
    """Return the body of the webhook, in JSON."""
    budget = crossing.budget
    end = bounds(budget.span, budget.zone, crossing.starts_at).end
    return msgspec.json.encode(
        {
            "id": f"evt_{budget.id}_{crossing.starts_at}_{crossing.percent}_{crossing.posted}",
            "type": "budget.threshold_crossed",
            "created_at": _moment(crossing.at),
            "percent": crossing.percent,
            "spent": dollars(crossing.posted),
            "spent_nano": crossing.posted,
            "begins_at": None if end is None else _moment(crossing.starts_at),
            "resets_at": None if end is None else _moment(end),
            "budget": {
                "id": budget.id,
                "scope": budget.scope,
                "subject": budget.subject,
                "name": budget.label,
                "per": budget.span,
                "zone": budget.zone,
                "hard": budget.hard,
                "limit": dollars(budget.amount),
                "limit_nano": budget.amount,
            },
        }
    )


def _moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
