"""The console's routes, each with its access rule. For now: how everything stands, as a page and as JSON."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from komeet.access.rules import Access, from_this_machine
from komeet.console.page import apology, page, policy
from komeet.console.status import Status
from komeet.core.clock import Clock
from komeet.core.errors import KomeetError, MethodNotAllowed, NotAllowed, Unavailable, UnknownPath
from komeet.core.http import Headers, HttpRequest, Reply

_FRESH_FOR: Final = 1.0
"""Seconds for which an answer does for all who ask: many pages open cost the workers no more than one."""

Look = Callable[[], Awaitable[Status]]
"""Asks the supervisor how everything stands; raises Unavailable where it does not say."""


class Route(Struct, frozen=True, kw_only=True):
    """One path, which takes GET and HEAD."""

    path: str
    access: Access
    handler: Callable[[HttpRequest, Reply], Awaitable[None]]


class Console:
    """Everything behind the console's port."""

    def __init__(self, look: Look, clock: Clock) -> None:
        self.routes: Final[Sequence[Route]] = (
            Route(path="/", access=Access.MACHINE, handler=self._page),
            Route(path="/health", access=Access.MACHINE, handler=self._health),
        )
        self._paths: Final = {route.path: route for route in self.routes}
        self._look: Final = look
        self._clock: Final = clock
        self._seen: tuple[float, Status] | None = None
        self._turn: Final = asyncio.Lock()

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Answer one request; every error becomes an answer."""
        try:
            route = self._paths.get(request.path)
            if route is None:
                raise UnknownPath("There is no such page.")
            _admit(route, request)
            if request.method not in {"GET", "HEAD"}:
                raise MethodNotAllowed(f"{route.path} takes GET, HEAD, not {request.method}.", allow="GET, HEAD")
            await route.handler(request, reply)
        except KomeetError as error:
            if not reply.started:
                reply.whole(*self.refusal(error))

    def refusal(self, error: KomeetError) -> tuple[int, Headers, bytes]:
        """Return the answer to a request that no page answers."""
        more: Headers = [(b"allow", error.allow.encode("ascii"))] if isinstance(error, MethodNotAllowed) else []
        return error.http_status, [*_headers(b"text/plain; charset=utf-8"), *more], f"{error.message}\n".encode()

    async def _page(self, request: HttpRequest, reply: Reply) -> None:  # noqa: ARG002 - handlers are alike
        """How everything stands, for people."""
        headers = _headers(b"text/html; charset=utf-8")
        try:
            status = await self._status()
        except Unavailable as error:
            reply.whole(503, headers, apology(error.message))
            return
        reply.whole(200, headers, page(status))

    async def _health(self, request: HttpRequest, reply: Reply) -> None:  # noqa: ARG002
        """How everything stands, for programs; 503 where no worker takes connections."""
        status = await self._status()
        body = {"status": status.health, **msgspec.to_builtins(status)}
        reply.whole(
            503 if status.health == "down" else 200, _headers(b"application/json"), msgspec.json.encode(body) + b"\n"
        )

    async def _status(self) -> Status:
        async with self._turn:
            now = self._clock.monotonic()
            if self._seen is not None and now - self._seen[0] < _FRESH_FOR:
                return self._seen[1]
            status = await self._look()
            self._seen = self._clock.monotonic(), status
            return status


def _admit(route: Route, request: HttpRequest) -> None:
    """Hold the request to its route's access rule."""
    match route.access:
        case Access.PUBLIC:
            return
        case Access.MACHINE:
            if from_this_machine(request.peer, request.headers):
                return
            raise NotAllowed(
                "This page is for this machine, asked directly and by its own name (127.0.0.1, localhost)."
            )
        case Access.OPERATOR | Access.KEY | Access.SIGNED:
            raise NotAllowed("This page needs a sign-in, and there is none yet.")


def _headers(content_type: bytes) -> Headers:
    return [
        (b"content-type", content_type),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", policy()),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
    ]
