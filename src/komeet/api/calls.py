"""What the surfaces that make calls have in common."""

from komeet.access.rules import Access
from komeet.api.routes import Route
from komeet.core.http import HttpRequest, Reply
from komeet.pipeline.call import Call
from komeet.pipeline.ports import Ports
from komeet.pipeline.run import run
from komeet.wire.ways import AnyCaller


class Surface:
    """A path at which callers of one format make calls."""

    def __init__(self, path: str, wire: AnyCaller, ports: Ports) -> None:
        self._path = path
        self._format = wire
        self._ports = ports

    @property
    def route(self) -> Route:
        """The route that leads here."""
        return Route(method="POST", path=self._path, access=Access.KEY, handler=self.create, format=self._format)

    async def create(self, request: HttpRequest, reply: Reply) -> None:
        """Make one call."""
        await run(Call(request, reply, self._format, self._path, self._ports.clock), self._ports)
