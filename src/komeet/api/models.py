"""`GET /v1/models` and `GET /v1/models/{id}`: what this key may use, in OpenAI's shape."""

from collections.abc import Sequence
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from komeet.core.errors import ModelNotFound
from komeet.core.http import HttpRequest, Reply
from komeet.core.ids import new_id
from komeet.pipeline.identify import identify
from komeet.pipeline.ports import Ports
from komeet.routing.directory import Listed

PATH = "/v1/models"
_KEPT_LISTS = 64


class Model(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the list; `provider`, `context_window` and `priced` are extensions."""

    id: str
    object: str
    created: int
    owned_by: str
    provider: str
    context_window: int | None = None
    priced: bool = False


class Models:
    """The list of models, by key."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._listing: Sequence[Listed] = ()
        self._bodies: dict[tuple[str, ...], bytes] = {}
        """Lists of `_listing`, by the rights that they are for: writing one takes milliseconds."""

    async def list(self, request: HttpRequest, reply: Reply) -> None:
        """Answer with every model that the key may use."""
        key = await identify(request.headers, self._ports.keys, self._ports.clock)
        listing = self._ports.directory.listing()
        if listing is not self._listing or len(self._bodies) >= _KEPT_LISTS:
            self._listing, self._bodies = listing, {}
        body = self._bodies.get(key.models)
        if body is None:
            rows = [_model(listed) for listed in listing if key.allows(*listed.names)]
            body = self._bodies[key.models] = msgspec.json.encode({"object": "list", "data": rows})
        self._answer(reply, body)

    async def retrieve(self, request: HttpRequest, reply: Reply) -> None:
        """Answer with one model; any name that a call may use, also one that the list leaves out."""
        key = await identify(request.headers, self._ports.keys, self._ports.clock)
        name = unquote(request.path.removeprefix(PATH + "/"))
        candidate = self._ports.directory.resolve(name)
        if not key.allows(*candidate.names):
            raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")
        listed = Listed(
            id=name,
            provider=candidate.provider.name,
            model=candidate.model,
            names=candidate.names,
            context_window=candidate.context_window,
            price=candidate.price,
        )
        self._answer(reply, msgspec.json.encode(_model(listed)))

    def _answer(self, reply: Reply, body: bytes) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"x-request-id", new_id("req_", self._ports.clock).encode()),
        ]
        reply.whole(200, headers, body)


def _model(listed: Listed) -> Model:
    return Model(
        id=listed.id,
        object="model",
        created=0,
        owned_by=listed.provider,
        provider=listed.provider,
        context_window=listed.context_window,
        priced=listed.price is not None,
    )
