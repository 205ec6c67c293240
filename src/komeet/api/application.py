"""Takes each request to its route, past the route's access rule, and turns errors into answers."""

import logging
from collections.abc import Sequence

from komeet.access.rules import Access, from_this_machine
from komeet.api.cors import Cors
from komeet.api.routes import Route, Table, methods_of
from komeet.core.errors import InternalError, KomeetError
from komeet.core.http import Headers, HttpRequest, Reply
from komeet.core.ids import new_id
from komeet.pipeline.identify import identify
from komeet.pipeline.ports import Ports
from komeet.wire.openai_chat.format import FORMAT as OPENAI_CHAT
from komeet.wire.ways import AnyCaller

_log = logging.getLogger("komeet.api")


class Application:
    """Everything behind the port."""

    def __init__(self, routes: Sequence[Route], ports: Ports, cors: Cors | None = None) -> None:
        self.table = Table(routes)
        self._cors = cors
        self._ports = ports
        self._shed: dict[str, tuple[int, Headers, bytes]] = {}
        """By format: the answer to a call too many. It is the same each time, and then time is short."""

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Answer one request; every error becomes an answer."""
        wire: AnyCaller = OPENAI_CHAT
        try:
            if request.method == "OPTIONS":
                self._options(request, reply)
                return
            route = self.table.find(request)
            wire = route.format
            if self._cors is not None and route.access is Access.KEY:
                # Only what needs a key: what is for this machine is not for the pages that are open on it.
                reply = self._cors.reply(request, reply)
            await self._admit(route, request)
            await route.handler(request, reply)
        except KomeetError as error:
            self._refuse(error, reply, wire)
        except Exception:  # noqa: BLE001 - the last resort: nobody sees a traceback
            _log.exception("%s %s failed", request.method, request.path)
            self._refuse(InternalError("Komeet failed to handle this request; its log says why."), reply, wire)

    def shed(self, request: HttpRequest) -> tuple[int, Headers, bytes] | None:
        """Return the answer to a call that would be one too many, or None: before anything is spent on it."""
        admission = self._ports.admission
        if not admission.full:
            return None
        try:
            route = self.table.find(request)
        except KomeetError:
            return None
        if route.method != "POST" or route.access is not Access.KEY:
            return None
        wire = route.format
        try:
            status, headers, body = self._shed[wire.name]
        except KeyError:
            status, headers, body = self._shed[wire.name] = wire.render_error(admission.refusal())
        admission.shed += 1
        made = new_id("req_", self._ports.clock).encode()
        return status, [*headers, *[(name, made) for name in wire.id_headers]], body

    def _options(self, request: HttpRequest, reply: Reply) -> None:
        """Say which methods a path takes, and to a browser whether a page may use them."""
        routes = self.table.at(request)
        methods = methods_of(routes).encode()
        more: Headers = ()
        if self._cors is not None and all(route.access is Access.KEY for route in routes):
            more = self._cors.preflight(request, methods)
        reply.whole(204, [(b"allow", methods), *more], b"")

    async def _admit(self, route: Route, request: HttpRequest) -> None:
        """Hold the request to its route's access rule; KEY is the pipeline's first stage, SIGNED the handler's."""
        if route.access is Access.OPERATOR and not from_this_machine(request.peer, request.headers):
            await identify(request.headers, self._ports.keys, self._ports.clock)

    def _refuse(self, error: KomeetError, reply: Reply, wire: AnyCaller) -> None:
        if reply.started:
            reply.abort()
            return
        reply.whole(*self.refusal(error, wire))

    def refusal(self, error: KomeetError, wire: AnyCaller = OPENAI_CHAT) -> tuple[int, Headers, bytes]:
        """Return the answer to a request that never became a call."""
        status, headers, body = wire.render_error(error)
        made = new_id("req_", self._ports.clock).encode()
        return status, [*headers, *[(name, made) for name in wire.id_headers]], body
