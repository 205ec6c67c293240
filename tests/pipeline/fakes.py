"""Everything around a call, in memory: what it asks of other rooms is noted, and every await is a step of the test."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from komeet.access.keys import Key, digest
from komeet.canonical.record import CallRecord
from komeet.canonical.usage import Usage
from komeet.catalog.price import ModelPrice, price_from_dollars
from komeet.catalog.profile import Profile
from komeet.catalog.profiles import Profiles
from komeet.core.clock import ManualClock
from komeet.core.errors import BudgetExceeded, KomeetError
from komeet.core.http import Headers, HttpRequest, Origin, Outgoing
from komeet.core.secrets import Secret
from komeet.ledger.port import Hold, Outcome, State, Subject
from komeet.pipeline.call import Call
from komeet.pipeline.credentials import Credentials
from komeet.pipeline.ports import Policy, Ports
from komeet.pipeline.run import run
from komeet.providers.credential import Credential
from komeet.providers.provider import Provider, StreamUsage, make
from komeet.routing.directory import Directory, Known
from komeet.routing.health import HealthBook
from komeet.routing.learned import Learned
from komeet.routing.placement import Placement, Placements
from komeet.routing.retry import Retries, RetryPolicy
from komeet.routing.route import Route, Router
from komeet.wire.formats import BOTH_ROLES
from komeet.wire.openai_chat.format import FORMAT

SECRET: Final = "sk-km-a-key-of-the-tests"
CREDENTIAL: Final = "sk-upstream-canary"
STREAM: Final = {b"content-type": b"text/event-stream; charset=utf-8", b"x-request-id": b"up-1"}
JSON: Final = {b"content-type": b"application/json"}


class Point:
    """An await at which a call may be interrupted."""

    def __init__(self, label: str) -> None:
        self.label = label

    def __await__(self) -> Generator["Point"]:
        yield self


@dataclass
class Exchange:
    """What a provider does with one request."""

    status: int = 200
    headers: Mapping[bytes, bytes] = field(default_factory=lambda: JSON)
    pieces: Sequence[bytes] = ()
    broken: KomeetError | None = None
    """What comes instead of the orderly end."""
    unreachable: KomeetError | None = None
    """Why there is no connection."""
    silent: KomeetError | None = None
    """What comes instead of any answer, once the request is sent."""


class FakeAnswer:
    """An answer that arrives piece by piece."""

    def __init__(self, exchange: Exchange) -> None:
        self.status = exchange.status
        self.headers = exchange.headers
        self.exchange = exchange
        self.given: list[bytes] = []
        """Pieces that the call has taken."""
        self.whole = False
        self.closed = False
        self.paused = False

    async def read(self, limit: int) -> bytes:
        await self.relay(lambda _: None)
        return b"".join(self.given)

    async def relay(self, feed: Callable[[bytes], None]) -> None:
        assert not self.closed
        for piece in self.exchange.pieces:
            await Point("piece")
            self.given.append(piece)
            feed(piece)
        await Point("end")
        if self.exchange.broken is not None:
            raise self.exchange.broken
        self.whole = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Sending:
    """A request as the provider sees it."""

    outgoing: Outgoing
    sent: bool = False
    answer: FakeAnswer | None = None


class FakeFetcher:
    """Connects, sends, and answers by a script, one exchange after the other; the last one for all that follow."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.exchanges = list(exchanges)
        self.sendings: list[Sending] = []

    async def fetch(self, outgoing: Outgoing, sent: Callable[[], None] | None = None) -> FakeAnswer:
        sending = Sending(outgoing)
        self.sendings.append(sending)
        exchange = self.exchanges.pop(0) if len(self.exchanges) > 1 else self.exchanges[0]
        await Point("connect")
        if exchange.unreachable is not None:
            raise exchange.unreachable
        assert sent is not None
        sent()
        sending.sent = True
        await Point("head")
        if exchange.silent is not None:
            raise exchange.silent
        sending.answer = FakeAnswer(exchange)
        return sending.answer


class FakeLedger:
    """Notes holds and outcomes; admits what fits into `room`, which is of a hard budget where `bounded`."""

    def __init__(self, room: int | None = None, *, bounded: bool = False) -> None:
        self.room = room
        self.bounded = bounded
        self.holds: list[Hold] = []
        self.outcomes: list[Outcome] = []

    def knows(self, books: int) -> bool:
        return True

    async def learn(self) -> None:
        return None

    def is_bounded(self, subject: Subject, provider: str, model: str) -> bool:
        return self.bounded

    async def hold(self, hold: Hold, subject: Subject) -> None:
        if self.room is not None and hold.most_charged > self.room:
            raise BudgetExceeded("No room.", room=self.room)
        try:
            await Point("hold")
        except KomeetError:
            raise
        except BaseException:
            # As the port says: cancelled while it waits, it voids the hold, whatever became of it.
            self.holds.append(hold)
            self.end(Outcome(attempt_id=hold.attempt_id, state=State.VOIDED, reason="cancelled", ended_at=0))
            raise
        self.holds.append(hold)

    def end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def outcome(self) -> Outcome:
        """The one outcome of the one hold."""
        (hold,), (outcome,) = self.holds, self.outcomes
        assert hold.attempt_id == outcome.attempt_id
        return outcome


class FakeReply:
    """The way back to a caller; holds the call to the order that the port demands."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.chunked = False
        self.filler = b""
        self.started = False
        self.finished = False
        self.aborted = False
        self.pause: Callable[[], None] | None = None
        self.resume: Callable[[], None] | None = None

    @property
    def sent(self) -> int:
        return len(self.body)

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        assert not self.started
        self._head(status, headers)
        self.body = body
        self.finished = True

    def begin(self, status: int, headers: Headers, *, filler: bytes = b"") -> None:
        assert not self.started
        self.filler = filler
        self._head(status, headers)
        self.chunked = True

    def write(self, data: bytes) -> None:
        assert self.started
        assert not self.finished
        self.body += data

    def end(self) -> None:
        assert self.started
        assert not self.finished
        self.finished = True

    def abort(self) -> None:
        self.finished = self.aborted = True

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self.pause, self.resume = pause, resume

    def _head(self, status: int, headers: Headers) -> None:
        self.started = True
        self.status = status
        self.headers = dict(headers)
        assert len(self.headers) == len(headers), "a header field is there twice"


class FakeKeys:
    """One key: in hand, or to be looked up."""

    def __init__(self, key: Key, *, in_hand: bool = False) -> None:
        self.key = key
        self.in_hand = in_hand

    def known(self, digest: bytes) -> Key | None:
        return self.key if self.in_hand and digest == self.key.digest else None

    async def find(self, digest: bytes) -> Key | None:
        await Point("find")
        return self.key if digest == self.key.digest else None


class FakeEstimator:
    """Counts a token for each character."""

    encoding = ""
    """The last one that was asked for."""

    async def estimate(self, prompt: str, output: str, encoding: str, *, messages: int = 1) -> Usage:
        self.encoding = encoding
        await Point("estimate")
        return Usage(input=len(prompt), output=len(output))


class FakeEmbedded:
    """An embedded model that is always there."""

    async def origin(self, model: str) -> tuple[Origin, Secret]:
        await Point("origin")
        return Origin("http", "127.0.0.1", 4999), Secret(CREDENTIAL)


class FakeBook:
    """Prices of the models that it is given, at a provider of the name `maker`."""

    def __init__(self, prices: Mapping[str, ModelPrice]) -> None:
        self.prices = prices

    def find(self, price_id: str, model: str, *, at: int, answers: bool = True) -> ModelPrice | None:
        return self.prices.get(model.lower()) if price_id == "maker" else None

    def models(self, price_id: str) -> Sequence[Known]:
        return ()

    def next_change(self, price_id: str, *, at: int) -> int | None:
        return None

    def owner(self, model: str) -> str | None:
        return "maker"


PRICE: Final = price_from_dollars(input=Decimal(1), output=Decimal(10))


def key(**more: Any) -> Key:
    """The key that the calls of the tests show."""
    return Key(id="key_1", name="k", digest=digest(SECRET), hint="ests", account=7, created_at=0, **more)


class Interruption(NamedTuple):
    """What is raised at the await of this number, counted from 0 over a call and what it leaves to be done."""

    at: int
    error: Callable[[], BaseException]


NEVER: Final = Interruption(-1, Exception)


@dataclass
class World:
    """Everything that a call may touch."""

    exchanges: Sequence[Exchange] = (Exchange(),)
    key: Key = field(default_factory=key)
    room: int | None = None
    stream_usage: StreamUsage = "ask"
    embedded: bool = False
    models: tuple[str, ...] | None = None
    others: tuple[str, ...] = ()
    """Names of further providers."""
    credentials: tuple[Credential, ...] = ()
    """Of the first provider; none of them: all have the same one."""
    provider_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    placements: tuple[Placement, ...] = ()
    turns: Credentials = field(default_factory=Credentials)
    routes: tuple[Route, ...] = ()
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=1))
    health: HealthBook = field(default_factory=HealthBook)
    slept: list[float] = field(default_factory=list[float])
    """How long calls waited before they were tried again."""
    profile: Profile = field(default_factory=Profile)
    policy: Policy = field(default_factory=Policy)
    clock: ManualClock = field(default_factory=ManualClock)
    estimator: FakeEstimator = field(default_factory=FakeEstimator)
    tasks: list[Coroutine[Any, Any, None]] = field(default_factory=list[Coroutine[Any, Any, None]])
    records: list[CallRecord] = field(default_factory=list[CallRecord])
    learned: Learned = field(default_factory=Learned)
    points: list[str] = field(default_factory=list[str])
    """The labels of the awaits that were reached."""
    faults: list[Exception] = field(default_factory=list[Exception])
    """What was raised by work that outlived the call: its supervision logs it."""
    uncounted: bool = False
    """Whether the work that outlived the call was interrupted."""
    left: bool = False
    """Whether the caller left before its answer was complete."""

    def __post_init__(self) -> None:
        self.ledger = FakeLedger(self.room, bounded=self.key.budget is not None)
        self.fetcher = FakeFetcher(self.exchanges)
        self.reply = FakeReply()
        providers = tuple(
            make(
                name=name,
                base_url=f"https://{name}.example/v1",
                credential=Secret(CREDENTIAL),
                stream_usage=self.stream_usage,
                price_id="maker",
                embedded=self.embedded,
                models=self.models,
            )
            for name in ("maker", *self.others)
        )
        providers = tuple(replace(one, tags=self.provider_tags.get(one.name, ())) for one in providers)
        if self.credentials:
            providers = (providers[0].holding(self.credentials), *providers[1:])
        directory = Directory[Provider](
            providers, FakeBook({"m": PRICE}), Profiles([("maker", ["*"], self.profile)]), self.clock
        )
        self.ports = Ports(
            clock=self.clock,
            keys=FakeKeys(self.key),
            directory=directory,
            router=Router(directory, self.routes, self.health),
            retries=Retries(self.retry),
            credentials=self.turns,
            placements=Placements(self.placements),
            chance=lambda: 0.5,
            sleep=self.sleep,
            learned=self.learned,
            ledger=self.ledger,
            fetcher=self.fetcher,
            embedded=FakeEmbedded(),
            estimator=self.estimator,
            formats=BOTH_ROLES,
            media=None,
            tasks=self,
            observers=(self,),
            policy=self.policy,
        )

    async def sleep(self, seconds: float) -> None:
        """Let the clock go on."""
        self.slept.append(seconds)
        await Point("sleep")
        self.clock.advance(seconds)

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Take work that outlives the call."""
        self.tasks.append(work)

    def ended(self, record: CallRecord) -> None:
        """Take the record of a call."""
        self.records.append(record)

    def call(self, **fields: Any) -> Call:
        """A call that arrives now; its reply is the world's."""
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
        headers = {b"authorization": b"Bearer " + SECRET.encode()}
        self.reply = FakeReply()
        request = HttpRequest(
            method="POST",
            path="/v1/chat/completions",
            headers=headers,
            body=json.dumps(body).encode(),
            arrived=self.clock.monotonic(),
        )
        return Call(request, self.reply, FORMAT, "/v1/chat/completions", self.clock)

    def answer(self, interruption: Interruption = NEVER, **fields: Any) -> FakeReply:
        """Make a call from its arrival to the end of all that it left to be done; return the reply."""
        return self.finish(self.call(**fields), interruption)

    def finish(self, call: Call, interruption: Interruption = NEVER) -> FakeReply:
        """Make a call that has arrived."""
        self.points = []
        self._drive(run(call, self.ports), interruption)
        behind = len(self.points)
        while self.tasks:
            try:
                self._drive(self.tasks.pop(0), interruption)
            except (KomeetError, RuntimeError) as error:
                self.faults.append(error)
        self.uncounted = behind <= interruption.at < len(self.points)
        return self.reply

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something else than a call run to its end."""
        self._drive(work, NEVER)

    def _drive(self, work: Coroutine[Any, Any, None], interruption: Interruption) -> None:
        """Let `work` go from await to await; note where it is, and interrupt it where that is wanted."""
        try:
            point: Point = work.send(None)
            while True:
                self.points.append(point.label)
                now = len(self.points) - 1 == interruption.at
                point = work.throw(interruption.error()) if now else work.send(None)
        except StopIteration:
            pass
        except asyncio.CancelledError:
            if not self.reply.finished:
                self.left = True
                self.reply.abort()  # as the server does


def interruptions(make: Callable[[], World], error: Callable[[], BaseException], **fields: Any) -> Iterator[World]:
    """Make the call again and again, interrupted by `error` at each of its awaits in turn; yield how each one ended."""
    undisturbed = make()
    undisturbed.answer(**fields)
    for at in range(len(undisturbed.points)):
        world = make()
        world.answer(Interruption(at, error), **fields)
        yield world
