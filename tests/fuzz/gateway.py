"""The whole way of a call, from the request to the answer and the ledger, with everything around it in memory."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final

from tests.fuzz.answers import starts_of
from tests.fuzz.callers import PROVIDERS
from tests.fuzz.framing import in_frames_of_events
from tests.fuzz.providers import ASKED
from tests.fuzz.singles import check_usage
from tests.fuzz.target import CUTS, Options, Target, bounded, check_headers, parted, pieces, read_json
from tests.pipeline.fakes import (
    CREDENTIAL,
    PRICE,
    SECRET,
    Exchange,
    FakeBook,
    FakeEmbedded,
    FakeEstimator,
    FakeFetcher,
    FakeKeys,
    FakeLedger,
    FakeReply,
    key,
)

from komeet.api.application import Application
from komeet.api.cors import Cors
from komeet.api.surfaces import routes
from komeet.canonical.record import CallRecord
from komeet.catalog.profiles import Profiles
from komeet.core.clock import ManualClock
from komeet.core.errors import CutMidStream
from komeet.core.http import HttpRequest
from komeet.core.secrets import Secret
from komeet.net.client import _request_head  # pyright: ignore[reportPrivateUsage] - what would be sent
from komeet.net.head import field_lines
from komeet.pipeline.ports import Policy, Ports
from komeet.providers.provider import Provider, make
from komeet.routing.directory import Directory
from komeet.routing.health import HealthBook
from komeet.routing.learned import Learned
from komeet.routing.route import Router
from komeet.wire.formats import FORMATS

_FORMATS: Final = (
    *PROVIDERS,
    "openai_embeddings",
    "openai_moderations",
    "jina_rerank",
    "openai_images",
    "openai_speech",
)
_STATUSES: Final = (200, 400, 401, 404, 429, 500, 503)
_TYPES: Final = (
    b"application/json",
    b"text/event-stream",
    b"application/vnd.amazon.eventstream",
    b"text/html",
    b"",
    b"audio/mpeg",
)
_KEYS: Final[tuple[Mapping[str, Any], ...]] = ({}, {"budget": 1}, {"models": ("m*",)}, {"store_bodies": True})
_STREAMED: Final = frozenset({1, 2})
_LOUD: Final = frozenset("\r\n\0")


class _Faults(logging.Handler):
    """Raises what was only logged: nothing that a stranger sends may be a fault of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None and record.exc_info[1] is not None:
            raise AssertionError(record.getMessage()) from record.exc_info[1]


class _World:
    """Everything that a call may touch."""

    def __init__(self, options: Options, answered: bytes) -> None:
        self.clock = ManualClock()
        self.work: list[Coroutine[Any, Any, None]] = []
        self.records: list[CallRecord] = []
        self.ledger = FakeLedger(options.choose(6, (None, 10_000_000, 10)))
        wire = options.choose(0, _FORMATS)
        media_type = options.number(2, len(_TYPES))
        headers = {b"content-type": _TYPES[media_type], b"retry-after": b"3"}
        if wire == "bedrock_converse" and media_type in _STREAMED:
            answered = in_frames_of_events(answered)
        self.fetcher = FakeFetcher(
            [
                Exchange(
                    status=options.choose(1, _STATUSES),
                    headers=headers,
                    pieces=tuple(pieces(answered, options.choose(3, CUTS))) if answered else (),
                    broken=options.choose(4, (None, CutMidStream("It broke off."))),
                )
            ]
        )
        provider = make(
            name="maker",
            base_url="https://maker.example/v1",
            credential=Secret(CREDENTIAL),
            price_id="maker",
            formats=(wire,),
        )
        directory = Directory[Provider]((provider,), FakeBook({"m": PRICE}), Profiles([]), self.clock)
        self.ports = Ports(
            clock=self.clock,
            keys=FakeKeys(key(**options.choose(5, _KEYS))),
            directory=directory,
            router=Router(directory, (), HealthBook()),
            learned=Learned(),
            ledger=self.ledger,
            fetcher=self.fetcher,
            embedded=FakeEmbedded(),
            estimator=FakeEstimator(),
            formats=FORMATS,
            media=None,
            tasks=self,
            observers=(self,),
            sleep=self.clock_goes_on,
            policy=Policy(pass_through=options.number(7, 2) == 0, losses=options.choose(8, ("adapt", "refuse"))),
        )

    async def clock_goes_on(self, seconds: float) -> None:
        """Wait, at no time."""
        self.clock.advance(seconds)

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Take work that outlives the call."""
        self.work.append(work)

    def ended(self, record: CallRecord) -> None:
        """Take the record of a call."""
        self.records.append(record)


def _drive(work: Coroutine[Any, Any, None]) -> None:
    try:
        for _ in range(100_000):
            work.send(None)
    except StopIteration:
        return
    except asyncio.CancelledError:
        return
    raise AssertionError("it never ends")


def gateway(data: bytes) -> None:
    """Make a call; it gets one answer, and each hold has one outcome."""
    options, rest = parted(data)
    request, answered = _request(rest)
    if request is None:
        return
    world, reply = _World(options, answered), FakeReply()
    application = Application(routes(world.ports, dict, _metrics), world.ports, Cors(["https://app.example"]))
    log, faults = logging.getLogger("komeet"), _Faults(logging.ERROR)
    log.addHandler(faults)
    log.propagate, log.level = False, logging.ERROR
    try:
        _drive(application.handle(request, reply))
        while world.work:
            _drive(world.work.pop())
    finally:
        log.removeHandler(faults)
        log.propagate, log.level = True, logging.NOTSET
    _check(request, reply, world, data)


async def _metrics() -> bytes:
    return b""


def _request(text: bytes) -> tuple[HttpRequest | None, bytes]:
    """Read a request: `METHOD TARGET`, header fields up to an empty line, a body of one line; the rest is the answer.

    None where it could not have come in: the server lets no such target or field through.
    """
    first, _, rest = text.partition(b"\n")
    method, _, target = first.partition(b" ")
    headers: dict[bytes, bytes] = {}
    while rest:
        line, _, rest = rest.partition(b"\n")
        if not line:
            break
        name, _, value = line.partition(b": ")
        headers[name.lower()] = value.strip()
    body, _, answered = rest.partition(b"\n")
    path, _, query = target.partition(b"?")
    shown = path.decode("latin-1")
    sane = method.isalpha() and path and target.isascii() and target.decode().isprintable() and b" " not in target
    if not sane or any(_LOUD & set((name + value).decode("latin-1")) or not name for name, value in headers.items()):
        return None, b""
    if any(letter < 32 and letter != 9 for value in headers.values() for letter in value):
        return None, b""
    return HttpRequest(
        method=method.decode().upper(),
        path=shown,
        query=query,
        headers=headers,
        body=body,
        arrived=0.0,
        peer="10.1.2.3",
    ), answered


def _check(request: HttpRequest, reply: FakeReply, world: _World, data: bytes) -> None:
    assert reply.finished, "it is not answered"
    assert not reply.aborted or reply.headers[b"content-type"] == b"audio/mpeg"  # in which nothing can be said
    assert 200 <= reply.status <= 599
    field_lines(tuple(reply.headers.items()))
    if request.method != "OPTIONS":
        check_headers(tuple(reply.headers.items()))
    assert b"internal_error" not in reply.body
    assert CREDENTIAL.encode() not in reply.body
    bounded(reply.body, data)
    if reply.headers.get(b"content-type") == b"application/json" and not reply.chunked and world.fetcher.sendings == []:
        read_json(reply.body)
    holds = [hold.attempt_id for hold in world.ledger.holds]
    assert sorted(holds) == sorted(outcome.attempt_id for outcome in world.ledger.outcomes), "not one outcome each"
    assert len(world.records) <= 1
    for outcome in world.ledger.outcomes:
        check_usage(outcome.usage)
        assert 0 <= outcome.cost < 1 << 63
        outcome.model_served.encode()
    for sending in world.fetcher.sendings:
        _request_head(sending.outgoing, "", b"")
        assert sending.answer is None or sending.answer.closed
        assert SECRET.encode() not in sending.outgoing.body or SECRET.encode() in request.body
    assert holds or not world.fetcher.sendings or b"count" in request.path.lower().encode("latin-1")


_PATHS: Final[Mapping[str, Sequence[bytes]]] = {
    "openai_chat": (b"/v1/chat/completions",) * 4,
    "openai_responses": (b"/v1/responses",) * 4,
    "anthropic_messages": (b"/v1/messages", b"/v1/messages", b"/v1/messages/count_tokens", b"/v1/messages"),
    "gemini": (
        b"/v1beta/models/m:generateContent",
        b"/v1beta/models/m:streamGenerateContent?alt=sse",
        b"/v1beta/models/m:streamGenerateContent?key=" + SECRET.encode(),
        b"/v1beta/models/m:countTokens",
    ),
    "openai_completions": (b"/v1/completions",) * 4,
}


def _starts() -> Iterator[bytes]:
    bearer = b"\nauthorization: Bearer " + SECRET.encode() + b"\n"
    for at, name in enumerate(PROVIDERS):
        for number, (mode, said) in enumerate(starts_of(name)):
            caller = tuple(ASKED)[number % 5]
            asked = number % 4
            streams = (2 if name == "bedrock_converse" else 1) if mode else 0
            options = b"%d0%d%d%d%d0%d0\n" % (at, streams, number % 9, number % 2, number % 4, number % 2)
            path = _PATHS[caller][asked]
            yield options + b"POST " + path + bearer + b"\n" + ASKED[caller][asked] + b"\n" + said
    for status in range(1, 7):
        yield (
            b"0%d0000000\nPOST /v1/chat/completions" % status + bearer + b'\n{"model":"m","messages":[]}\n{"error":{}}'
        )
    yield b"600000000\nPOST /v1/embeddings" + bearer + b'\n{"model":"m","input":"x"}\n{"data":[{"embedding":[1]}]}'
    yield b"700000000\nPOST /v1/moderations" + bearer + b'\n{"model":"m","input":"x"}\n{"results":[{}]}'
    yield b"800000000\nPOST /v1/rerank" + bearer + b'\n{"model":"m","query":"q","documents":["a"]}\n{"results":[]}'
    yield b"900000000\nPOST /v1/images/generations" + bearer + b'\n{"model":"m","prompt":"a"}\n{"data":[]}'
    yield (
        b"901000000\nPOST /v1/images/generations" + bearer + b'\n{"model":"m","prompt":"a","stream":true}\ndata: {}\n\n'
    )
    for broken in (b"0", b"1"):
        yield b":050" + broken + b"0000\nPOST /v1/audio/speech" + bearer + b'\n{"model":"m","input":"a"}\nsound'
    yield b"000000000\nGET /v1/models" + bearer + b"\n"
    yield b"000000000\nGET /v1/models/m" + bearer + b"x-goog-api-key: x\nanthropic-version: x\n\n"
    yield b"000000000\nGET /v1beta/models/m%2Fx?key=x" + bearer + b"\n"
    yield b"000000000\nOPTIONS /v1/responses\norigin: https://app.example\naccess-control-request-method: POST\n\n"
    yield b"000000000\nGET /healthz\n\n"
    yield b"000000000\nGET /readyz\nhost: localhost\n\n"
    yield b"000000000\nGET /metrics\nforwarded: for=x\nhost: [::1]:1\n\n"


GATEWAY: Final = Target(
    name="gateway",
    holds="the whole way of a call, from its request to the ledger: one answer, never a 500, one outcome for each hold,"
    " no credential in an answer",
    run=gateway,
    starts=_starts,
)
