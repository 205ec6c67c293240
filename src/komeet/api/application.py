"""Takes each request to its route, past the route's access rule, and turns errors into answers."""

import logging
from collections.abc import Sequence

from komeet.access.rules import Access, from_this_machine
from komeet.api.routes import Route, Table
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

    def __init__(self, routes: Sequence[Route], ports: Ports) -> None:
        self.table = Table(routes)
        self._ports = ports

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Answer one request; every error becomes an answer."""
        wire: AnyCaller = OPENAI_CHAT
        try:
            route = self.table.find(request)
            wire = route.format
            await self._admit(route, request)
            await route.handler(request, reply)
        except KomeetError as error:
            self._refuse(error, reply, wire)
        except Exception:  # noqa: BLE001 - the last resort: nobody sees a traceback
            _log.exception("%s %s failed", request.method, request.path)
            self._refuse(InternalError("Komeet failed to handle this request; its log says why."), reply, wire)

    async def _admit(self, route: Route, request: HttpRequest) -> None:
        """Hold the request to its route's access rule; routes of kind KEY are held by the pipeline's first stage."""
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
