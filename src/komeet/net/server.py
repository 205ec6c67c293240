"""The HTTP/1.1 server: one object per connection, run by `uvicorn.Server` as its `http` protocol.

uvicorn accepts, terminates TLS, and closes gracefully; reading requests is `intake`'s, writing answers `reply`'s. This
module joins the two: one handler task per request, requests of a connection strictly one after another, deadlines by a
sweep over all connections. A handler's failure is answered here with a 500, and logged.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from msgspec import Struct, field
from uvicorn.config import Config
from uvicorn.server import ServerState

from komeet.core.clock import Clock
from komeet.core.errors import InternalError, KomeetError, Overloaded
from komeet.core.http import Headers, HttpRequest, Reply
from komeet.net.certificates import Certificates
from komeet.net.forwarded import TrustedProxies
from komeet.net.head import CONTINUE, DateLine
from komeet.net.intake import Intake, Phase
from komeet.net.limits import ServerLimits
from komeet.net.reply import HttpReply, whole_answer
from komeet.net.sweep import Sweeper

Handler = Callable[[HttpRequest, Reply], Coroutine[Any, Any, None]]
"""Answers one request; runs as a task, which is cancelled when the caller leaves before the reply is complete."""

Shedding = Callable[[HttpRequest], tuple[int, Headers, bytes] | None]
"""Answers a request at once when it would be one too many; None: it is to be handled. Asked of every request."""

Refused = tuple[int, Headers, bytes]
"""Status, header fields and body of a refusal."""

Asking = Callable[[], Coroutine[Any, Any, Refused | None]]
"""Asks somebody who knows."""

Screening = Callable[[HttpRequest], Refused | Asking | None]
"""Looks at the head of a request before a large body is read: refuses it, has to ask, or lets it come."""

Refusal = Callable[[KomeetError], tuple[int, Headers, bytes]]
"""Status, header fields and body for an error that no handler saw, or that one left behind."""

STATE_KEY: Final = "serving"
"""Where in the application's state the protocol finds its `Serving`."""

_TOLD: Final = 16
"""Connections above the limit that are told why they are closed, at least; they go on being open for a while."""

_SLICE = 16 * 1024
"""Bytes parsed at once: bounds how many requests one segment can complete."""

_LOG = logging.getLogger("komeet.net.server")


class Entrance(Struct, frozen=True, kw_only=True):
    """What stands before HTTP: whose word is taken about where a call comes from, and TLS, if it is spoken."""

    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    certificates: Certificates | None = None


class Triage(Struct, frozen=True, kw_only=True):
    """What refuses requests before a handler sees them."""

    shed: Shedding | None = None
    screen: Screening | None = None


class Serving:
    """What all connections of a process share. Put it in the application's state under `STATE_KEY`."""

    __slots__ = (
        "certificates", "clock", "date", "greeting", "handle", "limits", "log", "proxies", "refuse", "retiring",
        "screen", "shed", "sweeper",
    )  # fmt: skip

    def __init__(
        self,
        *,
        handle: Handler,
        refuse: Refusal,
        triage: Triage | None = None,
        clock: Clock,
        limits: ServerLimits | None = None,
        entrance: Entrance | None = None,
        log: logging.Logger = _LOG,
        sweep_seconds: float = 0.25,
    ) -> None:
        self.handle: Final = handle
        self.refuse: Final = refuse
        triage = triage if triage is not None else Triage()
        self.shed: Final = triage.shed
        self.screen: Final = triage.screen
        self.clock: Final = clock
        self.limits: Final = limits if limits is not None else ServerLimits()
        entrance = entrance if entrance is not None else Entrance()
        self.proxies: Final = entrance.proxies
        self.certificates: Final = entrance.certificates
        self.retiring = False
        """Whether connections that begin now close with their first answer: their listener is closed already."""
        self.greeting = 0
        """Connections whose TLS handshake is under way."""
        self.log: Final = log
        self.date: Final = DateLine(clock)
        self.sweeper: Final = Sweeper(clock, sweep_seconds)


def address_of(transport: asyncio.BaseTransport) -> str:
    """Return the address of the other end; "" for a local socket."""
    found = cast("tuple[str, int] | str | None", transport.get_extra_info("peername"))
    return found[0] if isinstance(found, tuple) else ""


class HttpProtocol(asyncio.Protocol):
    """One connection. Constructed by uvicorn, which also calls `shutdown` for a graceful close."""

    __slots__ = (
        "_client", "_handed", "_held", "_held_bytes", "_idle_since", "_intake", "_linger_until", "_loop", "_paused",
        "_quiet_out", "_quiet_since", "_reply", "_screening", "_serving", "_state", "_stopping", "_stuck_since",
        "_taken", "_task", "_transport", "_unsent",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        client: str | None = None,
    ) -> None:
        """Take a connection; `client` is the address that it comes from, where its socket does not know that."""
        del config
        self._client = client
        self._serving: Serving = app_state[STATE_KEY]
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", None)
        self._intake = cast("Intake", None)
        self._task: asyncio.Task[None] | None = None
        self._reply: HttpReply | None = None
        self._screening: asyncio.Task[None] | None = None
        self._held: list[bytes | memoryview] = []
        self._held_bytes = 0
        self._paused = False
        self._stopping = self._serving.retiring
        self._idle_since: float | None = None
        self._linger_until: float | None = None
        self._handed = 0
        self._taken = 0
        self._unsent = 0
        self._stuck_since = 0.0
        self._quiet_out = -1
        self._quiet_since = 0.0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        serving = self._serving
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=serving.limits.write_bytes)
        peer = address_of(transport) if self._client is None else self._client
        self._intake = Intake(serving.limits, serving.clock, peer, serving.proxies.reader(peer))
        connections = cast("set[object]", self._state.connections)
        connections.add(self)
        serving.sweeper.add(self)
        if len(connections) > serving.limits.connections:
            self._turn_away(len(connections) - serving.limits.connections)

    def data_received(self, data: bytes) -> None:
        if self._linger_until is not None:
            return
        if self._task is None and self._screening is None:
            self._consume(data)
        else:
            self._hold(data)

    def eof_received(self) -> None:
        """Take the end of what the caller sends as its leaving: the connection closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        cast("set[HttpProtocol]", self._state.connections).discard(self)
        self._serving.sweeper.remove(self)
        self._intake.stop()
        self._held.clear()
        if self._screening is not None:
            self._screening.cancel()
        task, reply = self._task, self._reply
        if task is not None and reply is not None and not reply.finished:
            task.cancel()
            task.add_done_callback(self._state.tasks.discard)  # it may never have begun

    def pause_writing(self) -> None:
        self._paused = True
        if self._reply is not None:
            self._reply.flow(paused=True)

    def resume_writing(self) -> None:
        self._paused = False
        if self._reply is not None:
            self._reply.flow(paused=False)

    # What uvicorn calls.

    def shutdown(self) -> None:
        """Close now if nothing is under way, else with the reply to the request that is."""
        self._stopping = True
        if self._reply is not None:
            self._reply.closes = True
        elif self._linger_until is not None or self._intake.phase is Phase.BETWEEN:
            self._transport.close()

    # What the server calls that has a successor; `Serving.retiring` is set by then.

    def retire(self) -> None:
        """Close with the next reply that can announce it, or after a while without one: a request may be on its way."""
        self._idle_since = None
        if self._reply is not None and not self._reply.started:
            self._reply.closes = True

    # What the sweeper calls.

    def sweep(self, now: float, since: float) -> None:
        transport, limits = self._transport, self._serving.limits
        unsent = transport.get_write_buffer_size()
        if self._takes(unsent):
            self._stuck_since = now
        elif now - self._stuck_since > limits.write_seconds:
            transport.abort()
            return
        if unsent == 0 and self._reply is not None:
            self._keep_alive(self._reply, now, since)
        if self._linger_until is not None:
            if now > self._linger_until:
                transport.abort()
        elif self._task is not None or self._screening is not None or transport.is_closing():
            return
        elif (late := self._intake.overdue(now)) is not None:
            self._refuse(late)
        elif self._intake.phase is Phase.BETWEEN:
            if self._idle_since is None:
                self._idle_since = now
            elif now - self._idle_since > self._may_idle():
                transport.close()

    def _may_idle(self) -> float:
        limits = self._serving.limits
        if not self._handed:
            return limits.header_seconds
        return limits.farewell_seconds if self._serving.retiring else limits.idle_seconds

    def _takes(self, unsent: int) -> bool:
        """Whether the caller has taken anything of what waited for it; what was added meanwhile does not count."""
        before, self._unsent = self._unsent, unsent
        reply = self._reply
        taken = self._handed + (0 if reply is None else reply.out) - unsent
        if unsent and unsent >= before and taken <= self._taken:
            return False
        self._taken = taken
        return True

    def _keep_alive(self, reply: HttpReply, now: float, since: float) -> None:
        """Send the filler of an answer that has been silent; a little early, if the next look would be too late."""
        if reply.out != self._quiet_out:
            self._quiet_out = reply.out
            self._quiet_since = since
        if now + min(now - since, 1.0) - self._quiet_since > self._serving.limits.quiet_seconds and reply.fill():
            self._quiet_out = reply.out
            self._quiet_since = now

    # From bytes to requests.

    def _consume(self, data: bytes | memoryview) -> None:
        intake = self._intake
        if len(data) <= _SLICE:
            intake.feed(data)
        else:
            view = memoryview(data)
            for start in range(0, len(view), _SLICE):
                if intake.ready:
                    self._hold(view[start:])
                    break
                intake.feed(view[start : start + _SLICE])
        if intake.ready:
            self._advance()
        elif intake.phase is Phase.BODY:
            self._await_body()

    def _await_body(self) -> None:
        """Refuse now what is refused whatever its body is; else let it come, and ask for it if that is waited for."""
        screen = self._serving.screen
        head = None if screen is None else self._intake.announced()
        if screen is not None and head is not None:
            verdict = screen(head)
            if callable(verdict):
                self._transport.pause_reading()
                self._screening = self._loop.create_task(self._screened(verdict))
                self._state.tasks.add(self._screening)
                self._screening.add_done_callback(self._state.tasks.discard)
                return
            if verdict is not None:
                self._refuse_with(*verdict)
                return
        if self._intake.expects:
            self._intake.expects = False
            self._transport.write(CONTINUE)

    async def _screened(self, ask: Asking) -> None:
        """Wait for the verdict on a head; nothing of its body is read meanwhile."""
        serving = self._serving
        try:
            verdict = await ask()
        except Exception:  # the boundary, as in `_answer`: a failure of ours is answered
            serving.log.exception("screening failed")
            verdict = serving.refuse(InternalError("The gateway failed to handle this request; its log says why."))
        self._screening = None
        if self._transport.is_closing():
            return
        if verdict is not None:
            self._refuse_with(*verdict)
        else:
            self._transport.resume_reading()
            self._next()

    def _hold(self, data: bytes | memoryview) -> None:
        """Keep what came behind a request that is being handled: it is parsed when that one is answered."""
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._serving.limits.held_bytes:
            self._transport.pause_reading()

    def _advance(self) -> None:
        """Start on the first of what is ready; what is shed is answered on the way."""
        ready, shed = self._intake.ready, self._serving.shed
        while ready:
            arrival = ready.popleft()
            if isinstance(arrival, KomeetError):
                self._refuse(arrival)
                return
            request = arrival.request
            reply = HttpReply(
                self._transport,
                self._serving.date,
                head_only=request.method == "HEAD",
                http11=arrival.http11,
                closes=self._stopping or self._serving.retiring or not arrival.keep_alive,
                paused=self._paused,
            )
            if shed is None or (refusal := shed(request)) is None:
                self._start(request, reply)
                return
            reply.whole(*refusal)
            self._state.total_requests += 1
            self._handed += reply.out
            self._idle_since = None
            if self._transport.is_closing():
                return
        self._next()

    def _start(self, request: HttpRequest, reply: HttpReply) -> None:
        # Not one of `Tasks`: uvicorn's shutdown waits for those in its own state, and cancels them.
        task = self._loop.create_task(self._answer(request, reply))
        self._reply, self._task, self._idle_since = reply, task, None
        self._state.tasks.add(task)

    async def _answer(self, request: HttpRequest, reply: HttpReply) -> None:
        """Run the handler; answer for it if it fails or returns without an answer; go on with the next request."""
        try:
            await self._serving.handle(request, reply)
        except Exception as error:  # noqa: BLE001 - the boundary at which every handler is supervised
            self._recover(request, reply, error)
        else:
            if not reply.finished:
                self._recover(request, reply, None)
        finally:
            # Here rather than in a callback of the task: that would run a turn of the loop later, and the next request
            # is often there by then.
            if not reply.finished:
                reply.abort()
            assert self._task is not None
            self._state.tasks.discard(self._task)
            self._state.total_requests += 1
            self._handed += reply.out
            self._quiet_out = -1
            self._reply = self._task = None
            if not self._transport.is_closing():
                self._next()

    def _next(self) -> None:
        intake = self._intake
        if intake.ready:
            self._advance()
        elif self._held:
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held.clear()
            if self._held_bytes > self._serving.limits.held_bytes:
                self._transport.resume_reading()
            self._held_bytes = 0
            self._consume(data)
        elif intake.phase is not Phase.BETWEEN:
            intake.resume(self._serving.clock.monotonic())
            if intake.phase is Phase.BODY:
                self._await_body()
        elif self._stopping:
            self._transport.close()

    def _recover(self, request: HttpRequest, reply: HttpReply, error: Exception | None) -> None:
        if error is not None:
            self._serving.log.error("handler failed: %s %s", request.method, request.path, exc_info=error)
        elif not self._transport.is_closing():
            self._serving.log.error("handler left no complete answer: %s %s", request.method, request.path)
        if not reply.started:
            refusal = InternalError("The gateway failed to handle this request; its log says why.")
            reply.whole(*self._serving.refuse(refusal))

    def _turn_away(self, excess: int) -> None:
        """Say that there are too many connections; when even those that are told are many, say nothing."""
        if excess > max(_TOLD, self._serving.limits.connections // 8):
            self._transport.abort()
            return
        self._refuse(Overloaded("Too many connections are open; try again.", retry_after=1.0))

    def _refuse(self, error: KomeetError) -> None:
        """Answer a request that no handler will see, and close once the caller has had time to read why."""
        self._refuse_with(*self._serving.refuse(error))

    def _refuse_with(self, status: int, headers: Headers, body: bytes) -> None:
        serving, transport = self._serving, self._transport
        self._intake.stop()
        answer = whole_answer(status, serving.date.line(), headers, len(body), closes=True) + body
        self._handed += len(answer)
        transport.write(answer)
        self._state.total_requests += 1
        if self._stopping:
            transport.close()
            return
        # Closing with unread bytes would reset the connection, and the refusal with it: they are read, and dropped.
        self._linger_until = serving.clock.monotonic() + serving.limits.linger_seconds
        self._held.clear()
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
