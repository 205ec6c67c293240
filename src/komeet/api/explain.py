"""`POST /api/explain`: what would become of a call, for the key that asks; nobody is called, nothing is held."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from komeet.access.rules import Access, with_key_in_header
from komeet.api import audio, chat, completions, embeddings, images, messages, moderations, rerank, responses
from komeet.api.routes import Route
from komeet.core.errors import WireError
from komeet.core.http import HttpRequest, Reply
from komeet.pipeline.call import Call
from komeet.pipeline.explaining import explain
from komeet.pipeline.identify import identify
from komeet.pipeline.ports import Ports
from komeet.wire.ways import AnyCaller

PATH: Final = "/api/explain"
_JSON: Final = (b"content-type", b"application/json")
_FRESH: Final = (b"cache-control", b"no-store")


class _Question(Struct, forbid_unknown_fields=True):
    request: Raw
    surface: str = chat.PATH


class Explain:
    """Answers by the stages that a call would go through."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        surfaces = [
            each.surface(ports).route
            for each in (chat, completions, responses, messages, embeddings, moderations, rerank, images, audio)
        ]
        self._formats: Mapping[str, AnyCaller] = {route.path: route.format for route in surfaces}

    @property
    def route(self) -> Route:
        """The route that leads here."""
        return Route(method="POST", path=PATH, access=Access.KEY, handler=self.answer)

    async def answer(self, request: HttpRequest, reply: Reply) -> None:
        """Answer one question; errors are raised."""
        request = with_key_in_header(request)
        await identify(request.headers, self._ports.keys, self._ports.clock)  # before anything is said of the body
        question = _read(request.body)
        wire = self._formats.get(question.surface)
        if wire is None:
            raise WireError(
                f"There is no surface `{question.surface[:200]}`; there are {', '.join(self._formats)}.",
                param="surface",
            )
        asked = replace(request, path=question.surface, body=bytes(question.request))
        call = Call(asked, reply, wire, question.surface, self._ports.clock)
        self._ports.admission.enter(call)
        try:
            explained = await explain(call, self._ports)
        except WireError as error:
            path = f"request.{error.param}" if error.param else "request"
            raise WireError(error.message, param=path, code=error.error_code) from None
        finally:
            self._ports.admission.leave(call)
        reply.whole(200, [_JSON, _FRESH, *_ids(call)], msgspec.json.encode(explained))


def _ids(call: Call) -> list[tuple[bytes, bytes]]:
    return [(name, call.id.encode()) for name in call.format.id_headers]


def _read(body: bytes) -> _Question:
    try:
        return msgspec.json.decode(body, type=_Question)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(f'Expected {{"surface": "{chat.PATH}", "request": {{…}}}}: {error}.', param=None) from None
