"""`GET /v1/models` and `GET /v1/models/{id}`: what this key may use, in the shape that the caller's library expects."""

from collections.abc import Sequence
from urllib.parse import unquote

from msgspec.structs import replace

from komeet.access.rules import with_key_in_header
from komeet.api.model_shapes import Shape, choose_shape
from komeet.core.errors import ModelNotFound
from komeet.core.http import HttpRequest, Reply
from komeet.core.ids import new_id
from komeet.pipeline.identify import identify
from komeet.pipeline.ports import Ports
from komeet.routing.listed import Listed

PATH = "/v1/models"
GEMINI_PATH = "/v1beta/models"
_KEPT_LISTS = 64


class Models:
    """The list of models, by key."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._listing: Sequence[Listed] = ()
        self._shown: Sequence[Listed] = ()
        """Routes, and then the models of `_listing`."""
        self._bodies: dict[tuple[type[Shape], tuple[str, ...]], bytes] = {}
        """Lists of `_listing`, by their shape and the rights that they are for: writing one takes milliseconds."""

    async def list(self, request: HttpRequest, reply: Reply) -> None:
        """Answer with every model that the key may use."""
        request = with_key_in_header(request)
        key = await identify(request.headers, self._ports.keys, self._ports.clock)
        listing = self._ports.directory.listing()
        if listing is not self._listing or len(self._bodies) >= _KEPT_LISTS:
            self._listing, self._bodies = listing, {}
            router = self._ports.router
            named = {name: self._given(name) for name in (*router.routes, *router.aliases)}
            self._shown = [*named.values(), *(one for one in listing if one.id not in named)]
        shape = choose_shape(request.path, request.headers)
        wanted = (type(shape), key.models)
        body = self._bodies.get(wanted)
        if body is None:
            body = self._bodies[wanted] = shape.list(
                [one for one in self._shown if key.allows(*one.names)], at=self._ports.clock.unix_ms()
            )
        self._answer(reply, body)

    async def retrieve(self, request: HttpRequest, reply: Reply) -> None:
        """Answer with one model; any name that a call may use, also one that the list leaves out."""
        request = with_key_in_header(request)
        key = await identify(request.headers, self._ports.keys, self._ports.clock)
        name = unquote(request.path.removeprefix(PATH + "/").removeprefix(GEMINI_PATH + "/"))
        listed = self._given(name) if self._ports.router.is_given(name) else self._of_model(name)
        if not key.allows(*listed.names):
            raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")
        self._answer(reply, choose_shape(request.path, request.headers).one(listed, at=self._ports.clock.unix_ms()))

    def _given(self, name: str) -> Listed:
        """Return a route or an alias as a line of the list; what an alias leads to is known, if that is a model."""
        target = self._ports.router.aliases.get(name, name)
        if target in self._ports.router.routes:
            return _of_route(name)
        try:
            found = self._of_model(target)
        except ModelNotFound:
            return _of_route(name)
        return replace(found, id=name, names=(name, *found.names))

    def _of_model(self, name: str) -> Listed:
        directory, answers = self._ports.directory, True
        candidate = directory.resolve(name)
        if candidate.price is None:
            candidate, answers = directory.resolve(name, answers=False), False
        return directory.line(candidate, name, answers=answers or candidate.price is None)

    def _answer(self, reply: Reply, body: bytes) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"x-request-id", new_id("req_", self._ports.clock).encode()),
        ]
        reply.whole(200, headers, body)


def _of_route(name: str) -> Listed:
    """Return a route as a line of the list: whose models answer is the operator's business, and may change."""
    return Listed(id=name, provider="komeet", model=name, names=(name,), context_window=None, price=None)
