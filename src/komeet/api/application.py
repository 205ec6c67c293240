"""Takes each request to its route, past the route's access rule, and turns errors into answers."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from komeet.access.rules import Access, from_this_machine, with_key_in_header
from komeet.api.cors import Cors
from komeet.api.routes import Route, Table, methods_of
from komeet.core.errors import BodyTooLarge, InternalError, KomeetError, NotAllowed, Overloaded
from komeet.core.http import Headers, HttpRequest, Reply
from komeet.core.ids import new_id
from komeet.pipeline.identify import identify, in_hand
from komeet.pipeline.ports import Ports
from komeet.wire.openai_chat.format import FORMAT as OPENAI_CHAT
from komeet.wire.ways import AnyCaller

_log = logging.getLogger("komeet.api")

_LATE = "More calls come than this gateway can serve in good time; try again."

Refused = tuple[int, Headers, bytes]
"""Status, header fields and body of a refusal."""


def _bound(route: Route, length: bytes | None) -> None:
    """Raise BodyTooLarge for a body that is longer than the route takes, or that does not say how long it is."""
    if route.most_bytes is not None and (length is None or int(length) > route.most_bytes):
        raise BodyTooLarge(f"{route.path} takes {route.most_bytes} bytes at most, announced in `content-length`.")


class Pressure(Protocol):
    """Knows whether this process has more to do than it can."""

    def refuses(self) -> bool:
        """Return whether a call that comes now is one too many; asked once of each."""
        ...


class Application:
    """Everything behind the port."""

    def __init__(
        self, routes: Sequence[Route], ports: Ports, cors: Cors | None = None, pressure: Pressure | None = None
    ) -> None:
        self.table = Table(routes)
        self._cors = cors
        self._ports = ports
        self._pressure = pressure
        self._shed: dict[tuple[str, bool], Refused] = {}
        """By format, and whether there is no room: the answer to a call too many. Time is short then, and it stays."""

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
            _bound(route, b"%d" % len(request.body))
            await self._admit(route, request)
            await route.handler(request, reply)
        except KomeetError as error:
            self._refuse(error, reply, wire)
        except Exception:  # noqa: BLE001 - the last resort: nobody sees a traceback
            _log.exception("%s %s failed", request.method, request.path)
            self._refuse(InternalError("Komeet failed to handle this request; its log says why."), reply, wire)

    def shed(self, request: HttpRequest) -> Refused | None:
        """Return the answer to a call that would be one too many, or None: before anything is spent on it."""
        admission = self._ports.admission
        late = self._pressure is not None and self._pressure.refuses()
        if not (late or admission.full or admission.crowded):
            return None
        try:
            route = self.table.find(request)
            if route.method != "POST" or route.access is not Access.KEY:
                return None
            refused = self._one_too_many(request, route.format, late=late)
        except KomeetError:
            return None  # what it is told then is the handler's to say
        if refused is None:
            return None
        admission.shed += 1
        status, headers, body = refused
        made = new_id("req_", self._ports.clock).encode()
        return status, [*headers, *[(name, made) for name in route.format.id_headers]], body

    def _one_too_many(self, request: HttpRequest, wire: AnyCaller, *, late: bool) -> Refused | None:
        """Return the refusal of a call, if there is no room for any, or for none of its key."""
        admission = self._ports.admission
        if not (late or admission.full):
            head = with_key_in_header(request)
            key = in_hand(head.headers, self._ports.keys, self._ports.clock)
            if key is None or key.id not in admission.crowded:
                return None
            return wire.render_error(admission.refusal_of(key))
        place = wire.name, admission.full
        if place not in self._shed:
            error = admission.refusal() if admission.full else Overloaded(_LATE, retry_after=1.0)
            self._shed[place] = wire.render_error(error)
        return self._shed[place]

    def screen(self, head: HttpRequest) -> Refused | Callable[[], Coroutine[Any, Any, Refused | None]] | None:
        """Return the answer to a request of which only the head is there, if it is a refusal whatever follows.

        It lets nobody in: what it does not refuse is asked for its key once more when it is whole. Where the store of
        keys has to be asked, what asks it is returned.
        """
        if head.method in {"OPTIONS", "HEAD"}:
            return None
        wire: AnyCaller = OPENAI_CHAT
        try:
            route = self.table.find(head)
            wire = route.format
            _bound(route, head.headers.get(b"content-length"))
            if route.access is not Access.KEY:
                return None
            head = with_key_in_header(head)
            if in_hand(head.headers, self._ports.keys, self._ports.clock):
                return None
        except KomeetError as error:
            return self.refusal(error, wire)
        return partial(self._look_up, head, wire)

    async def _look_up(self, head: HttpRequest, wire: AnyCaller) -> Refused | None:
        try:
            await identify(head.headers, self._ports.keys, self._ports.clock)
        except KomeetError as error:
            return self.refusal(error, wire)
        return None

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
        match route.access:
            case Access.PUBLIC | Access.KEY | Access.SIGNED:
                return
            case Access.OPERATOR | Access.MACHINE:
                if from_this_machine(request.peer, request.headers):
                    return
        if route.access is Access.MACHINE:
            raise NotAllowed("This is for the machine that Komeet runs on.")
        await identify(request.headers, self._ports.keys, self._ports.clock)

    def _refuse(self, error: KomeetError, reply: Reply, wire: AnyCaller) -> None:
        if reply.started:
            reply.abort()
            return
        reply.whole(*self.refusal(error, wire))

    def refusal(self, error: KomeetError, wire: AnyCaller = OPENAI_CHAT) -> Refused:
        """Return the answer to a request that never became a call."""
        status, headers, body = wire.render_error(error)
        made = new_id("req_", self._ports.clock).encode()
        return status, [*headers, *[(name, made) for name in wire.id_headers]], body
