"""Cross-origin requests (Fetch, 3.2): which web pages may call the API from a browser. None may, unless it is named."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from komeet.core.http import Headers, HttpRequest, Reply

_ANY: Final = "*"
_FIELD_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]{0,2000}")
_SHOWN: Final = (
    b"x-request-id, retry-after, x-komeet-provider, x-komeet-cost, x-komeet-usage, x-komeet-loss, idempotent-replayed, "
    b"x-komeet-cache, age, x-komeet-model-replaced, "
    + b", ".join(
        b"x-ratelimit-%b-%b" % (what, kind)
        for kind in (b"requests", b"tokens")
        for what in (b"limit", b"remaining", b"reset")
    )
)
_HOUR: Final = b"3600"


class Cors:
    """Adds what lets the pages of `origins` read answers. No cookie is ever used, so none is ever allowed."""

    __slots__ = ("_any", "_origins")

    def __init__(self, origins: Sequence[str]) -> None:
        self._any: Final = _ANY in origins
        self._origins: Final = frozenset([origin.rstrip("/").lower().encode() for origin in origins])

    def allowed(self, request: HttpRequest) -> bytes | None:
        """Return the origin of the page that asks, if it may."""
        origin = request.headers.get(b"origin")
        if origin is None or not (self._any or origin.lower() in self._origins):
            return None
        return b"*" if self._any else origin

    def preflight(self, request: HttpRequest, methods: bytes) -> Headers:
        """Return what tells a browser that it may ask; nothing where it may not."""
        origin = self.allowed(request)
        if origin is None or b"access-control-request-method" not in request.headers:
            return ()
        wanted = request.headers.get(b"access-control-request-headers", b"")
        return [
            *_granted(origin),
            (b"access-control-allow-methods", methods),
            # Callers' libraries send fields of their own; none of them goes further than here.
            *([(b"access-control-allow-headers", wanted)] if wanted and _FIELD_NAMES.fullmatch(wanted) else []),
            (b"access-control-max-age", _HOUR),
        ]

    def reply(self, request: HttpRequest, reply: Reply) -> Reply:
        """Return the reply to write to: one that lets the page read it, if it may."""
        if b"origin" not in request.headers:
            return reply
        origin = self.allowed(request)
        return (
            reply if origin is None else _Shared(reply, [*_granted(origin), (b"access-control-expose-headers", _SHOWN)])
        )


def _granted(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]


class _Shared:
    """A reply with header fields added to its head."""

    __slots__ = ("_more", "_reply")

    def __init__(self, reply: Reply, more: Headers) -> None:
        self._reply: Final = reply
        self._more: Final = more

    @property
    def started(self) -> bool:
        return self._reply.started

    @property
    def finished(self) -> bool:
        return self._reply.finished

    @property
    def sent(self) -> int:
        return self._reply.sent

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        self._reply.whole(status, [*headers, *self._more], body)

    def begin(self, status: int, headers: Headers, *, filler: bytes = b"") -> None:
        self._reply.begin(status, [*headers, *self._more], filler=filler)

    def write(self, data: bytes) -> None:
        self._reply.write(data)

    def end(self) -> None:
        self._reply.end()

    def abort(self) -> None:
        self._reply.abort()

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._reply.on_flow(pause, resume)
