"""`POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's Messages."""

from komeet.access.rules import Access
from komeet.api.calls import Surface
from komeet.api.routes import Route
from komeet.core.http import HttpRequest, Reply
from komeet.pipeline.call import Call
from komeet.pipeline.count import count_tokens
from komeet.pipeline.ports import Ports
from komeet.wire.anthropic_messages.count import COUNTING
from komeet.wire.anthropic_messages.format import FORMAT

PATH = "/v1/messages"
COUNT_PATH = PATH + "/count_tokens"


def surface(ports: Ports) -> Surface:
    """Return the surface that makes calls."""
    return Surface(PATH, FORMAT, ports)


class CountTokens:
    """The surface that counts what a call would send."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @property
    def route(self) -> Route:
        """The route that leads here."""
        return Route(method="POST", path=COUNT_PATH, access=Access.KEY, handler=self.count, format=FORMAT)

    async def count(self, request: HttpRequest, reply: Reply) -> None:
        """Count the tokens of one request."""
        await count_tokens(Call(request, reply, COUNTING, COUNT_PATH, self._ports.clock), COUNTING, self._ports)
