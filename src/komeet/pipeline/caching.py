"""The response cache in the way of a call: answered from there, or executed and kept.

It comes behind everything that may refuse a call (key, model, rate limits), and before anything is held: an answer from
here has no attempt, so nothing about money is decided here. Of several calls of a process that ask the same at the same
time one is executed, and the others wait for it; if it fails, each goes on by itself.
"""

import asyncio
import logging
from typing import Final

import msgspec
from msgspec import Struct

from komeet import __version__
from komeet.cache.entry import Entry
from komeet.cache.key import Question, digest_of, headers_of, members_of
from komeet.cache.policy import Wish, wish_of
from komeet.cache.worth import is_repeatable, is_worth_keeping
from komeet.core.errors import KomeetError
from komeet.core.http import Headers
from komeet.core.money import Nano, dollars
from komeet.pipeline.answer import JSON, NO_CACHE, loss_header, reply_headers, stream_type
from komeet.pipeline.call import Attempt, Call
from komeet.pipeline.choosing import plan_of
from komeet.pipeline.copied import CopiedReply
from komeet.pipeline.flights import Cache, Flight
from komeet.pipeline.plan import AnyCandidate
from komeet.pipeline.ports import Ports
from komeet.wire.framing import EVENT_STREAM
from komeet.wire.media.format import MediaFormat
from komeet.wire.seal import MARK
from komeet.wire.single import SingleTarget
from komeet.wire.way import read_answer
from komeet.wire.ways import AnyTarget, way_between

_LOG = logging.getLogger("komeet.pipeline")
_SEALED: Final = MARK.encode()


async def answer_from_cache(call: Call, ports: Ports) -> None:
    """Answer the call from the cache where that may be and can be; else see to it that its answer is kept.

    Raises:
        WireError: 400, its headers ask for what there is not.
    """
    cache = ports.cache
    if cache is None:
        return
    wish = wish_of(call.request.headers)
    key = call.known_key
    ttl = cache.policy.ttl_of(key, call.known_envelope.model, wish)
    if ttl is None or wish.how == "bypass" or not _can_be(call, ports):
        call.cache = "" if ttl is None and wish.how is None else "bypassed"
        return
    tenant, digest = cache.policy.tenant_of(key), digest_of(_question(call, cache, ports))
    flight = await _look(call, ports, cache, wish, _Place(tenant, digest, ttl))
    if call.hit is not None:
        return
    reply = CopiedReply(call.reply, whole_most=cache.policy.most, stream_most=cache.policy.most)
    call.reply = reply
    call.filling = _Filling(ports, cache, _Place(tenant, digest, ttl), reply, flight)


class _Place(Struct, frozen=True):
    """Where an answer is kept, and for how many seconds."""

    tenant: str
    digest: bytes
    ttl: int


async def _look(call: Call, ports: Ports, cache: Cache, wish: Wish, place: _Place) -> Flight | None:
    """Answer the call, if there is an answer; else return what others wait for, if anybody may."""
    if wish.how == "refresh":
        call.cache = "refreshed"
        return None
    since = ports.clock.unix_ms() - place.ttl * 1000
    other = cache.under_way(place.digest)
    if other is not None:
        entry = await other.wait(cache.policy.wait)
        if entry is None or entry.created_at <= since or not _answer(call, entry, ports):
            call.cache = "miss"
        return None
    flight = cache.begin(place.digest)
    try:
        entry = await cache.answers.find(place.tenant, place.digest, since=since)
        if entry is not None and _answer(call, entry, ports):
            flight.land(entry)
    except BaseException:
        cache.end(place.digest, flight)
        raise
    if call.hit is not None:
        cache.end(place.digest, flight)
        return None
    call.cache = "miss"
    return flight


def _can_be(call: Call, ports: Ports) -> bool:
    """Whether the call is one whose answer can be given again, in a format whose answers can be read back."""
    envelope = call.known_envelope
    if isinstance(call.format, MediaFormat) or call.format.name not in ports.formats:
        return False
    return is_repeatable(envelope.fields, call.format.measure(envelope))


def _question(call: Call, cache: Cache, ports: Ports) -> Question:
    envelope = call.known_envelope
    return Question(
        tenant=cache.policy.tenant_of(call.known_key),
        version=__version__,
        format=call.format.name,
        model=envelope.model,
        answerers=_answerers(call, ports),
        headers=headers_of(call.request.headers, envelope.headers),
        members=members_of(envelope.fields),
    )


def _answerers(call: Call, ports: Ports) -> bytes:
    """Return who may be asked for the call by this key, whoever is asked first, and by which route."""
    plan = plan_of(call, ports)
    found: set[tuple[object, ...]] = set()
    while (choice := plan.take()) is not None:
        found.add(_answerer(choice.candidate))
    policy = ports.policy
    route = ports.router.routes.get(call.known_envelope.model)
    return msgspec.json.encode([policy.losses, policy.pass_through, route, sorted(found, key=repr)])


def _answerer(candidate: AnyCandidate) -> tuple[object, ...]:
    provider = candidate.provider
    origin = provider.origin
    address = (origin.scheme, origin.host, origin.port, provider.prefix, provider.query)
    return (provider.name, candidate.model, *address, provider.formats, provider.headers, provider.losses)


def _answer(call: Call, entry: Entry, ports: Ports) -> bool:
    """Answer the call; return whether that could be done."""
    body = _told(call, entry, ports)
    if body is None:
        return False
    call.cache, call.hit, call.told = "hit", entry, body
    call.replay_of = entry.request_id
    call.status = 200
    age = max(0, ports.clock.unix_ms() - entry.created_at) // 1000
    headers: Headers = [
        stream_type(call) if call.known_envelope.stream else JSON,
        *reply_headers(call, None),
        (b"age", b"%d" % age),
        (b"x-komeet-provider", entry.provider.encode()),
        *([(b"x-komeet-loss", entry.losses)] if entry.losses else []),
        (b"x-komeet-cost", dollars(Nano(0)).encode()),
    ]
    if call.known_envelope.stream:
        call.reply.begin(200, [*headers, NO_CACHE])
        call.reply.write(body)
        call.reply.end()
    else:
        call.reply.whole(200, headers, body)
    return True


def _told(call: Call, entry: Entry, ports: Ports) -> bytes | None:
    """Return the answer in the form that the call asks for; None: it cannot be said in it."""
    envelope = call.known_envelope
    alike = entry.streamed == envelope.stream
    if alike and (not entry.streamed or _same_stream(call, entry)):
        return entry.body
    if _SEALED in entry.body:
        return None  # what another format sealed goes only where it was wrapped
    target = ports.formats[call.format.name]
    try:
        way = way_between(
            call.format, target, envelope, id=call.id.removeprefix("req_"), created=call.arrived_at // 1000
        )
        whole = way.whole(entry.body, streamed=entry.streamed)
        return None if isinstance(whole, KomeetError) else whole.render(entry.usage)
    except KomeetError as error:
        _LOG.warning("call %s: a cached answer cannot be said as it is asked for: %s", call.id, error.message)
        return None


def _same_stream(call: Call, entry: Entry) -> bool:
    envelope = call.known_envelope
    return envelope.stream_type == EVENT_STREAM and envelope.include_usage == entry.include_usage


class _Filling:
    """Keeps the answer of one call, if it is worth it, and tells those who wait for it."""

    __slots__ = ("_cache", "_flight", "_place", "_ports", "_reply")

    def __init__(self, ports: Ports, cache: Cache, place: _Place, reply: CopiedReply, flight: Flight | None) -> None:
        self._ports: Final = ports
        self._cache: Final = cache
        self._place: Final = place
        self._reply: Final = reply
        self._flight: Final = flight

    def ended(self, call: Call) -> None:
        """Take note of how the call ended."""
        entry = self._entry(call)
        if entry is None:
            self._end()
        else:
            self._ports.tasks.spawn("cache", self._keep(entry, self._ports.formats[call.format.name]))

    async def _keep(self, entry: Entry, target: AnyTarget) -> None:
        try:
            if await asyncio.to_thread(_is_worth_keeping, entry, target):
                if self._flight is not None:
                    self._flight.land(entry)
                await self._cache.answers.keep(self._place.tenant, self._place.digest, entry)
        finally:
            self._end()

    def _end(self) -> None:
        if self._flight is not None:
            self._cache.end(self._place.digest, self._flight)

    def _entry(self, call: Call) -> Entry | None:
        body = self._reply.body
        attempt = call.attempts[-1] if call.attempts else None
        if attempt is None or body is None or not _went_well(call, attempt):
            return None
        envelope = call.known_envelope
        streamed = self._reply.streamed or envelope.stream
        if streamed and envelope.stream_type != EVENT_STREAM:
            return None
        now = self._ports.clock.unix_ms()
        return Entry(
            request_id=call.id,
            provider=attempt.candidate.provider.name,
            model_served=attempt.model_served,
            streamed=streamed,
            include_usage=envelope.include_usage,
            body=body,
            losses=loss_header(attempt.losses) if attempt.losses else b"",
            usage=attempt.usage,
            cost=attempt.cost,
            created_at=now,
            expires_at=now + self._place.ttl * 1000,
        )


def _went_well(call: Call, attempt: Attempt) -> bool:
    """Whether the call was answered, and by whom its plan asks first: a stopgap is not what others should get."""
    first, who = call.known_plan.first, attempt.candidate
    return (
        call.status == 200
        and attempt.completed
        and not attempt.continues
        and call.error is None
        and attempt.failed is None
        and attempt.passed is None
        and (who.provider.name, who.model) == (first.provider.name, first.model)
    )


def _is_worth_keeping(entry: Entry, target: AnyTarget) -> bool:
    if isinstance(target, SingleTarget | MediaFormat):
        return True  # the provider's answer was read as one of its kind
    try:
        return is_worth_keeping(read_answer(target, entry.body, streamed=entry.streamed))
    except KomeetError:
        return False
