"""`POST /v1beta/models/{model}:generateContent` and its kin: Google's Gemini; below `/v1` too, as its libraries ask."""

from urllib.parse import unquote

from komeet.access.rules import Access, with_key_in_header
from komeet.api.models import GEMINI_PATH
from komeet.api.models import PATH as SHARED_PATH
from komeet.api.routes import Route
from komeet.core.errors import UnknownPath
from komeet.core.http import HttpRequest, Reply
from komeet.pipeline.call import Call
from komeet.pipeline.count import count_tokens
from komeet.pipeline.identify import identify
from komeet.pipeline.ports import Ports
from komeet.pipeline.run import run
from komeet.wire.gemini.count import COUNTING
from komeet.wire.gemini.format import FORMAT


class Gemini:
    """The surface whose paths end in what is to be done with a model."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that lead here; `/v1/models/` is shared with OpenAI's list of models, which is only read."""
        return tuple(
            Route(method="POST", path=f"{path}/", rest=True, access=Access.KEY, handler=self.act, format=FORMAT)
            for path in (GEMINI_PATH, SHARED_PATH)
        )

    async def act(self, request: HttpRequest, reply: Reply) -> None:
        """Do what the end of the path says."""
        request = with_key_in_header(request)
        verb = unquote(request.path).rpartition(":")[2]
        surface = f"{GEMINI_PATH}:{verb}"
        match verb:
            case "generateContent" | "streamGenerateContent":
                await run(Call(request, reply, FORMAT, surface, self._ports.clock), self._ports)
            case "countTokens":
                await count_tokens(Call(request, reply, COUNTING, surface, self._ports.clock), COUNTING, self._ports)
            case _:
                await identify(request.headers, self._ports.keys, self._ports.clock)
                raise UnknownPath(
                    f"Unknown request URL: {request.path[:200]}. After the model comes :generateContent,"
                    " :streamGenerateContent or :countTokens."
                )
