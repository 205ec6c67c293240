"""`GET /healthz`, `/readyz`, `/metrics`: for those who run Komeet."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from komeet.core.http import HttpRequest, Reply

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_FRESH = (b"cache-control", b"no-store")


class Operations:
    """Answers about the process itself."""

    def __init__(self, readiness: Callable[[], Mapping[str, str]], exposition: Callable[[], Awaitable[bytes]]) -> None:
        self._readiness = readiness
        self._exposition = exposition

    async def healthz(self, request: HttpRequest, reply: Reply) -> None:  # noqa: ARG002 - handlers are alike
        """The process answers."""
        reply.whole(200, [_JSON, _FRESH], b'{"status":"ok"}')

    async def readyz(self, request: HttpRequest, reply: Reply) -> None:  # noqa: ARG002
        """Calls can be served; 503 with what is missing where they cannot."""
        missing = self._readiness()
        status = 503 if missing else 200
        body = {"status": "not ready" if missing else "ready", "missing": dict(missing)}
        reply.whole(status, [_JSON, _FRESH], msgspec.json.encode(body))

    async def metrics(self, request: HttpRequest, reply: Reply) -> None:  # noqa: ARG002
        """Prometheus' text format, version 0.0.4."""
        reply.whole(200, [_TEXT, _FRESH], await self._exposition())
