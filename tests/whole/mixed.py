"""Callers of every kind at once, each call with a name of its own, and what the provider's log and the ledger must say.

The kind of a call is the first word of its model's name, so that the provider knows what to answer, and the books name
it. All models have one price.
"""

import asyncio
import json
import random
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

from sqlalchemy import select
from tests.whole.gateway import Gateway
from tests.whole.processes import at, until
from tests.whole.upstream import (
    DONE,
    HELLO,
    LAST,
    STREAM,
    Received,
    Reset,
    Step,
    Upstream,
    chunk,
    delta,
    event,
    usage,
    whole,
)

from komeet.ledger.port import State
from komeet.store import tables

KINDS: Final = ("plain", "stream", "leaves", "hangs-up", "fails", "refuses", "breaks")
"""Answered whole; streamed; left in the stream; left before the answer; 500; 400; cut in the stream."""
_END: Final = chunk(delta(finish="stop")) + chunk(event(choices=[], usage=usage(9, 4))) + chunk(DONE) + LAST
COST: Final = {"plain": 12 * 1_000 + 3 * 10_000, "stream": 9 * 1_000 + 4 * 10_000}
"""What the provider bills for a call of this kind, in nano-dollars."""
HOLD_MOST: Final = 600 * 1_000 + 10 * 10_000
"""A call holds less than that."""
_PRICES: Final = {"prices": [{"provider": "openai", "model": "*-call-*", "input": 1, "output": 10}]}


def config(upstream: Upstream, **more: Any) -> dict[str, Any]:
    """A configuration whose provider is `upstream`, with a price for each of its models."""
    return at(upstream, drain_seconds=5) | _PRICES | more


def kind_of(model: str) -> str:
    """The kind of call that a model is asked for by."""
    return model.partition("-call-")[0]


def answer(request: Received) -> Iterator[Step]:
    """What the provider answers to each kind."""
    kind = kind_of(request.json["model"])
    if kind in {"plain", "hangs-up"}:
        time.sleep(0.02)
        yield from whole(HELLO)
    elif kind in {"fails", "refuses"}:
        error = {"error": {"message": "no", "type": "x", "param": None, "code": None}}
        yield from whole(error, status=500 if kind == "fails" else 400)
    else:
        yield STREAM
        for word in ("One ", "two ", "three."):
            yield chunk(delta(word))
            time.sleep(0.01)
        yield Reset() if kind == "breaks" else _END


class Mixed:
    """Callers in a thread, until the context ends; what happens to them is not their concern."""

    def __init__(self, gateway: Gateway, keys: Sequence[str], callers: int, seed: int) -> None:
        self.gateway = gateway
        self.keys = keys
        self.callers = callers
        self.chance = random.Random(seed)
        self.statuses: Counter[int] = Counter()
        self.done = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.done > self.callers)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        await asyncio.gather(*(self._caller(self.keys[n % len(self.keys)]) for n in range(self.callers)))

    async def _caller(self, key: str) -> None:
        while not self._stop.is_set():
            try:
                await asyncio.wait_for(self._call(key), 30)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)

    async def _call(self, key: str) -> None:
        kind = self.chance.choice(("plain", "plain", "stream", "stream", *KINDS[2:]))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        try:
            body = json.dumps(
                {
                    "model": f"openai/{kind}-call-{secrets.token_hex(6)}",
                    "messages": [{"role": "user", "content": "Hi"}],
                    "stream": kind in {"stream", "leaves", "breaks"},
                    "max_completion_tokens": 10,
                }
            ).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            if kind == "hangs-up":
                await asyncio.sleep(self.chance.uniform(0, 0.03))
                return
            said = await reader.readuntil(b"\r\n\r\n")
            self.statuses[int(said.split(b" ")[1])] += 1
            if kind == "leaves":
                await reader.read(100)
            else:
                await reader.read()
        finally:
            self.done += 1
            writer.close()


def agree(gateway: Gateway, upstream: Upstream) -> Counter[str]:
    """Assert that the ledger and the provider's own log say the same, call by call, and that nothing is held besides
    orphans; return how many attempts ended how. All must be written.
    """
    received = Counter(str(request.json["model"]) for request in upstream.received)
    attempts = _attempts(gateway)
    ended: Counter[str] = Counter()
    for model, found in attempts.items():
        kind = kind_of(model)
        sent = [state for state, *_ in found if state is not State.VOIDED]
        ended.update(str(state) for state, *_ in found)
        assert len(found) >= received[model], f"{model}: sent more often than it was held"
        if kind not in {"fails", "refuses"}:
            assert received[model] <= 1, f"{model}: sent twice"
            assert len(sent) <= 1, f"{model}: two outcomes that cost something"
            assert len(sent) >= received[model] or kind == "breaks", f"{model}: accepted, and in no book"
        for state, cost, estimated in found:
            if state is State.SETTLED:
                assert received[model] == 1, f"{model}: charged and never sent"
                assert estimated or cost == COST.get("plain" if kind == "hangs-up" else kind, COST["stream"]), model
    assert received.keys() <= attempts.keys(), "the provider saw what the ledger did not"
    assert gateway.holds() == sum(map(len, attempts.values())), "a hold without an outcome"
    assert gateway.audit() == []
    _nothing_is_held(gateway)
    return ended


def _attempts(gateway: Gateway) -> dict[str, list[tuple[State, int, bool]]]:
    chosen = select(
        tables.holds.c.model, tables.outcomes.c.state, tables.outcomes.c.cost, tables.outcomes.c.estimated
    ).join_from(tables.outcomes, tables.holds, tables.holds.c.attempt_id == tables.outcomes.c.attempt_id)
    found: defaultdict[str, list[tuple[State, int, bool]]] = defaultdict(list)
    with gateway.files.ledger.connect() as connection:
        for row in connection.execute(chosen):
            found[row.model].append((State(row.state), row.cost, row.estimated))
    return found


def _nothing_is_held(gateway: Gateway) -> None:
    """What is held is of orphans, each named; nothing is leased, nothing is uncertain."""
    of_orphans: Counter[int] = Counter()
    with gateway.files.ledger.connect() as connection:
        orphans = connection.execute(
            select(tables.holds.c.shares)
            .join_from(tables.open_holds, tables.holds, tables.holds.c.attempt_id == tables.open_holds.c.attempt_id)
            .where(tables.open_holds.c.orphan)
        )
        for row in orphans:
            for budget, _, amount, hard, _ in json.loads(row.shares):
                of_orphans[budget] += amount if hard else 0
        held: Counter[int] = Counter()
        for row in connection.execute(select(tables.budget_windows)):
            assert row.leased == 0, "leased by nobody"
            held[row.budget_id] += row.held
        assert +held == +of_orphans
        assert connection.execute(select(tables.leases)).all() == []
        assert connection.execute(select(tables.uncertain)).all() == []
