"""One connection to a provider: sends a request, hands the answer over as it comes, keeps the deadlines of the call."""

import asyncio
import select
from typing import Final, Protocol, cast

from komeet.core.errors import CutMidStream, UpstreamTimedOut
from komeet.core.http import Deadlines
from komeet.net.answer import HttpAnswer
from komeet.net.limits import ClientLimits
from komeet.net.response import ResponseReader
from komeet.net.sweep import Sweeper

_JOIN_BELOW = 64 * 1024
"""Bodies up to here are copied behind their head and leave in one segment; larger ones are not copied."""


class Home(Protocol):
    """Where a connection goes when it is not in use."""

    def release(self, connection: "Connection") -> None:
        """Take back a connection that can carry another request."""
        ...

    def lost(self, connection: "Connection") -> None:
        """Learn that the connection is closed."""
        ...


class Connection(asyncio.Protocol):
    """Carries one call at a time. Adopted by its `Home` once it is open."""

    __slots__ = (
        "_aged", "_answer", "_deadlines", "_first_sweep", "_home", "_host", "_idle_seconds", "_limits", "_mark",
        "_moved", "_reader", "_started", "_sweeper", "_transport", "_unsent",
    )  # fmt: skip

    def __init__(self, host: str, limits: ClientLimits, sweeper: Sweeper) -> None:
        self._host: Final = host
        self._limits: Final = limits
        self._sweeper: Final = sweeper
        self._home: Home | None = None
        self._transport = cast("asyncio.Transport", None)
        self._reader = ResponseReader(host, limits.head_bytes, limits.head_fields)
        self._answer: HttpAnswer | None = None
        self._deadlines = cast("Deadlines", None)
        self._idle_seconds = limits.idle_seconds
        self._started = 0.0
        self._mark: float | None = None
        """When the phase that a deadline is on began; None while idle and not yet swept."""
        self._moved = False
        self._unsent = 0
        self._first_sweep: float | None = None
        self._aged = False

    @property
    def usable(self) -> bool:
        """Whether a request may be sent on it; asked only while it is idle.

        After a rest the provider may have closed it, and the event loop not yet have said so. A request that is sent
        into that cannot be sent again, since it may have been handled: so the socket is asked first.
        """
        return not self._transport.is_closing() and (self._mark is None or not self._stirs())

    def adopt(self, home: Home) -> None:
        """Belong to `home`, which learns when the connection closes."""
        self._home = home

    def send(
        self, head: bytes, body: bytes, deadlines: Deadlines, *, head_only: bool, started: float, now: float
    ) -> HttpAnswer:
        """Write one request; the answer arrives in what is returned.

        `started` is when the call began, for its total deadline, and `now` when it is sent: monotonic seconds.
        """
        answer = HttpAnswer(self._host, self, self._limits.buffer_bytes)
        self._reader.expect(answer, head_only=head_only)
        self._answer = answer
        self._deadlines = deadlines
        self._started, self._mark, self._moved = started, now, False
        transport = self._transport
        if len(body) <= _JOIN_BELOW:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        self._unsent = transport.get_write_buffer_size()
        return answer

    def discard(self) -> None:
        """Close; a call that is under way is told that it was cut."""
        self._transport.abort()

    def _stirs(self) -> bool:
        """Whether something has come, an end or bytes, that nobody asked for."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    # What the answer calls.

    def halt(self) -> None:
        self._transport.pause_reading()

    def go_on(self) -> None:
        self._moved = True
        self._transport.resume_reading()

    def give_up(self) -> None:
        self._answer = None
        self._reader.stop()
        self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._sweeper.add(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._transport.abort()  # nobody asked: whatever it is, the next answer could be taken for this one
            return
        self._moved = True
        error = self._reader.feed(data)
        if error is not None:
            self._fail(error)
        elif self._reader.complete:
            self._completed()

    def eof_received(self) -> None:
        """Take the end of the provider's bytes: orderly, if that is how this answer ends; TLS tells a cut apart."""
        answer = self._answer
        if answer is not None and self._reader.ends_with_eof():
            self._answer = None
            answer.ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sweeper.remove(self)
        self._reader.stop()
        if self._home is not None:
            self._home.lost(self)
        answer, self._answer = self._answer, None
        if answer is not None:
            how = "closed the connection" if exc is None else "broke the connection"
            when = (
                "in the middle of its answer" if answer.status else "before it answered; it may have handled the call"
            )
            answer.ended(CutMidStream(f"{self._host} {how} {when}.", detail=None if exc is None else repr(exc)))

    # What the sweeper calls.

    def sweep(self, now: float, since: float) -> None:
        answer = self._answer
        if self._first_sweep is None:
            self._first_sweep = now
        elif not self._aged:
            self._aged = now - self._first_sweep > self._limits.age_seconds
        if answer is None:
            if self._mark is None:
                self._mark = now
            elif self._aged or now - self._mark > self._idle_seconds:
                self._transport.close()
        elif answer.halted:
            self._mark = now
            self._started += now - since
        elif now - self._started > self._deadlines.total:
            self._expire("total", self._deadlines.total)
        elif self._reader.in_body:
            self._sweep_body(now, since)
        else:
            self._sweep_head(now)

    def _sweep_head(self, now: float) -> None:
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent:  # the request is still leaving
            self._unsent = unsent
            self._mark = now
        elif self._mark is not None and now - self._mark > self._deadlines.first_byte:
            self._expire("first byte", self._deadlines.first_byte)

    def _sweep_body(self, now: float, since: float) -> None:
        if self._moved:
            self._moved = False
            self._mark = since  # the piece came after it: early by up to one sweep, where `now` would be late by one
        elif self._mark is not None and now - self._mark > self._deadlines.idle:
            self._expire("idle", self._deadlines.idle)

    def _expire(self, phase: str, seconds: float) -> None:
        what = {
            "first byte": f"did not begin to answer within {seconds:g} s",
            "idle": f"sent nothing for {seconds:g} s in the middle of its answer",
            "total": f"did not complete its answer within {seconds:g} s",
        }[phase]
        self._fail(UpstreamTimedOut(f"{self._host} {what}.", phase=phase))

    def _fail(self, error: BaseException) -> None:
        answer, self._answer = self._answer, None
        self._reader.stop()
        self._transport.abort()
        if answer is not None:
            answer.ended(error)

    def _completed(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return  # given up by what its last piece led to
        transport = self._transport
        self._mark = None
        if answer.halted:
            transport.resume_reading()
        again = self._reader.reusable and not self._aged
        if again and self._home is not None and transport.get_write_buffer_size() == 0:
            if b"keep-alive" in answer.headers:
                self._idle_seconds = min(self._limits.idle_seconds, _announced_idle(answer.headers[b"keep-alive"]))
            self._home.release(self)
        else:
            transport.close()
        answer.ended(None)


def _announced_idle(value: bytes) -> float:
    """Return for how long the provider keeps an unused connection, less a margin (`Keep-Alive: timeout=5`)."""
    for parameter in value.lower().split(b","):
        name, _, seconds = parameter.strip().partition(b"=")
        if name == b"timeout" and seconds.isdigit():
            return max(0.0, int(seconds) - 1.0)
    return float("inf")
