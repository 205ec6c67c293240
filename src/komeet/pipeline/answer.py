"""From the provider's answer to the caller's: bytes go out as they came, and are metered on the way."""

import re
from collections.abc import Sequence
from typing import Final

from komeet.canonical.loss import Loss
from komeet.core.errors import CutMidStream, Garbled, KomeetError, UpstreamError
from komeet.core.http import Answer
from komeet.core.money import dollars
from komeet.pipeline.bill import estimate_usage, price_usage
from komeet.pipeline.call import Attempt, Call
from komeet.pipeline.ports import Ports
from komeet.wire.continued import Story
from komeet.wire.format import Tap
from komeet.wire.framing import EVENT_STREAM
from komeet.wire.media.tap import BytesTap
from komeet.wire.way import HubTap

_LARGEST_ANSWER = 128 << 20
JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
NO_CACHE = (b"cache-control", b"no-cache")
_FILLER = b": keep-alive\n\n"
"""A comment (WHATWG HTML, 9.2.6), sent between events while a provider is silent."""
_BOM = b"\xef\xbb\xbf"
_PLAIN = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}", re.ASCII)
_MOST_NAMED = 20
KEPT_BODY = 1 << 20
"""Bytes of a prompt, and of an answer, that are kept for a key that asks for it."""


def reply_headers(call: Call, attempt: Attempt | None) -> list[tuple[bytes, bytes]]:
    """Return the headers that every answer carries; `attempt` is the one whose provider it is from, or about."""
    headers = [*((name, call.id.encode()) for name in call.format.id_headers), *call.limit_headers]
    if call.cache:
        headers.append((b"x-komeet-cache", call.cache.encode()))
    if attempt is None:
        return headers
    headers.append((b"x-komeet-provider", attempt.candidate.provider.name.encode()))
    if (old := attempt.candidate.replaces) is not None:
        headers.append((b"x-komeet-model-replaced", f"{old.model} -> {attempt.candidate.model}".encode()))
    if attempt.losses:
        headers.append((b"x-komeet-loss", loss_header(attempt.losses)))
    return headers


def loss_header(losses: Sequence[Loss]) -> bytes:
    """Name what was left out, in a header: callers choose names, so what is no plain name is not repeated."""
    named = [loss.path if _PLAIN.fullmatch(loss.path) else "(unnamed)" for loss in losses[:_MOST_NAMED]]
    more = [f"({len(losses) - _MOST_NAMED} more)"] if len(losses) > _MOST_NAMED else []
    return ", ".join([*named, *more]).encode("ascii")


def streams(attempt: Attempt) -> bool:
    """Whether the provider says that its answer is a stream of the format that it was asked in."""
    assert attempt.answer is not None
    said = attempt.answer.headers.get(b"content-type", b"").lower()
    return attempt.known_way.streams(said)


def _answer_type(call: Call, attempt: Attempt) -> tuple[bytes, bytes]:
    """Return the media type of the caller's answer: what it asked for, or what the provider says that it is."""
    assert attempt.answer is not None
    said = attempt.known_way.answer_type(attempt.answer.headers.get(b"content-type", b""))
    if said is not None:
        return (b"content-type", said)
    if not call.known_envelope.stream:
        return JSON
    return stream_type(call)


def stream_type(call: Call) -> tuple[bytes, bytes]:
    """Return the header that says what kind of stream the caller gets."""
    asked = call.known_envelope.stream_type
    return _EVENTS if asked == EVENT_STREAM else (b"content-type", asked)


def _filler(call: Call, answer_type: bytes) -> bytes:
    return _FILLER if answer_type.startswith(EVENT_STREAM) and call.format.takes_comments else b""


async def answer_whole(call: Call, attempt: Attempt, answer: Answer, ports: Ports) -> None:
    """Answer in one piece: a call that asked for that, or whose provider does not stream though it was asked to.

    Raises:
        Garbled: the provider's bytes are not an answer of the format.
        CutMidStream, UpstreamTimedOut: it did not come whole.
    """
    if answer.headers.get(b"content-type", b"").lower().startswith(b"text/html"):
        # Of whatever stands between, or at a wrong address. There may be no end to it.
        raise Garbled(f"{attempt.candidate.provider.name} answered with a web page.")
    body = await answer.read(_LARGEST_ANSWER)
    whole = attempt.known_way.whole(body, streamed=streams(attempt))
    if isinstance(whole, KomeetError):
        attempt.refused = True
        raise whole
    attempt.usage = whole.usage
    attempt.model_served = whole.model
    attempt.service_tier = whole.service_tier
    attempt.completed = True
    if attempt.usage is None:
        attempt.output_text = whole.output_text()
        await estimate_usage(call, attempt, ports)
    price_usage(attempt)
    body = whole.render(attempt.usage)
    headers = [_answer_type(call, attempt), *reply_headers(call, attempt), (b"x-komeet-cost", _cost(attempt))]
    if attempt.estimated:
        headers.append((b"x-komeet-usage", b"estimated"))
    if call.known_key.store_bodies:
        attempt.received = [body]
    call.status = 200
    call.reply.whole(200, headers, body)


def _cost(attempt: Attempt) -> bytes:
    """Return what the caller is charged; what the provider bills is the operator's own business."""
    return b"unpriced" if attempt.terms is None else dollars(attempt.charge).encode()


async def answer_stream(call: Call, attempt: Attempt, answer: Answer, ports: Ports) -> None:
    """Forward a stream event by event. An error that the provider sends in it is forwarded, and noted.

    Where the call has further candidates, the caller's answer begins with the first event that there is: what breaks
    before can be tried elsewhere.

    Raises:
        UpstreamError: the stream broke or ended early; what had come before has been forwarded.
    """
    tap = attempt.tap = attempt.known_way.tap(continuable=call.continuable)
    if isinstance(tap, HubTap) and tap.story is not None:
        _continued(call, attempt, tap.story)
    call.reply.on_flow(answer.pause, answer.resume)
    stream = _Stream(call, attempt, tap, ports)
    # A sound cannot tell an error once it has begun.
    if not call.reply.started and not call.known_plan.has_more() and not isinstance(tap, BytesTap):
        stream.begin()
    broken: UpstreamError | None = None
    try:
        await answer.relay(stream.feed)
        if isinstance(tap, HubTap) and tap.done and tap.usage is None:
            await _count(call, attempt, tap, ports)
    except UpstreamError as error:
        broken = error
    finally:
        rest, complete = tap.end()
        attempt.told = tap.done or (tap.error is not None and call.story is None)
        attempt.usage = tap.usage
        attempt.model_served = tap.model
        attempt.service_tier = tap.service_tier
        price_usage(attempt)
        attempt.output_text = tap.output_text()
        attempt.failed = tap.error
    stream.end(rest, broken, complete=complete)


def _continued(call: Call, attempt: Attempt, story: Story) -> None:
    """Remember what the caller is told; where it has been told something, say that another model goes on."""
    if call.story is not None and _filler(call, stream_type(call)[1]):
        candidate = attempt.candidate
        call.reply.write(f": komeet: continued by {candidate.provider.name}/{candidate.model}\n\n".encode())
    call.story = story


class _Stream:
    """What a caller gets of a stream."""

    __slots__ = ("_attempt", "_call", "_ports", "_received", "_reply", "_tap")

    def __init__(self, call: Call, attempt: Attempt, tap: Tap, ports: Ports) -> None:
        self._call: Final = call
        self._reply: Final = call.reply
        self._attempt: Final = attempt
        self._tap: Final = tap
        self._ports: Final = ports
        self._received: Final[list[bytes] | None] = [] if call.known_key.store_bodies else None
        attempt.received = self._received

    def begin(self) -> None:
        call = self._call
        call.status = 200
        kind = _answer_type(call, self._attempt)
        headers = [kind, NO_CACHE, *reply_headers(call, self._attempt)]
        self._reply.begin(200, headers, filler=_filler(call, kind[1]))

    def feed(self, data: bytes) -> None:
        reply, attempt = self._reply, self._attempt
        out = self._tap.feed(data)
        if attempt.first_token_us is None and self._tap.first_content:
            attempt.first_token_us = elapsed_us(self._call, self._ports)
        if not out:
            return
        if not reply.started:
            if self._tap.error is not None:
                return
            self.begin()
        if not reply.sent:
            out = out.removeprefix(_BOM)  # it has a meaning at the start only, and a filler may stand there
        reply.write(out)
        if self._received is not None and reply.sent < KEPT_BODY + len(out):
            self._received.append(out)

    def end(self, rest: bytes, broken: UpstreamError | None, *, complete: bool) -> None:
        """Take the end of the provider's stream.

        Raises:
            UpstreamError: it is not the end of an answer, and its caller has not been told so.
        """
        tap, reply = self._tap, self._reply
        ended_early = CutMidStream(
            f"{self._attempt.candidate.provider.name} ended its stream before the answer was complete."
        )
        if not reply.started:
            if not complete:
                raise tap.error or broken or ended_early
            self.begin()
        self._call.error = tap.error
        if tap.error is not None and self._call.story is not None:
            reply.write(rest)
            raise tap.error
        if broken is not None and not tap.done and tap.error is None:
            if isinstance(tap, HubTap):
                reply.write(rest)  # whoever writes the last words counts on it
            raise broken
        reply.write(rest)
        if tap.error is not None:
            return
        if not complete:
            raise ended_early
        self._attempt.completed = True


async def _count(call: Call, attempt: Attempt, tap: HubTap, ports: Ports) -> None:
    """Estimate what the provider did not report, before the stream ends: the caller's format has a place for it."""
    attempt.output_text = tap.output_text()
    await estimate_usage(call, attempt, ports)
    assert attempt.usage is not None
    tap.estimated(attempt.usage)


def elapsed_us(call: Call, ports: Ports) -> int:
    """Microseconds since the first byte of the call."""
    return round((ports.clock.monotonic() - call.request.arrived) * 1_000_000)
