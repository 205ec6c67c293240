"""The public routes: each carries its access rule, and nothing else decides who may use it."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from komeet.access.rules import Access
from komeet.core.errors import MethodNotAllowed, UnknownPath
from komeet.core.http import HttpRequest, Reply
from komeet.wire.openai_chat.format import FORMAT as OPENAI_CHAT
from komeet.wire.ways import AnyCaller

Handler = Callable[[HttpRequest, Reply], Awaitable[None]]


class Route(Struct, frozen=True, kw_only=True):
    """One method of one path."""

    method: str
    path: str
    """Exact; with `rest`, what the path starts with."""
    access: Access
    handler: Handler
    rest: bool = False
    """Whether anything may follow the path."""
    format: AnyCaller = OPENAI_CHAT
    """The format that errors are said in."""
    most_bytes: int | None = None
    """Bytes of a body above which it is refused; None: as many as the server takes."""


class Table:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._exact = {(route.method, route.path): route for route in routes if not route.rest}
        self._open = [route for route in routes if route.rest]

    def find(self, request: HttpRequest) -> Route:
        """Return the route.

        Raises:
            UnknownPath: there is none by that path.
            MethodNotAllowed: there is one, for other methods.
        """
        method = "GET" if request.method == "HEAD" else request.method
        found = self._exact.get((method, request.path))
        if found is not None:
            return found
        path = request.path
        matching = [route for route in self._open if path.startswith(route.path) and len(path) > len(route.path)]
        for route in matching:
            if route.method == method:
                return route
        allowed = methods_of(self.at(request))
        raise MethodNotAllowed(f"{path[:200]} takes {allowed}, not {request.method}.", allow=allowed)

    def at(self, request: HttpRequest) -> list[Route]:
        """Return every route at a path, whatever its method; `*` means all there are.

        Raises:
            UnknownPath: there is none.
        """
        path = request.path
        found = [
            route
            for route in self.routes
            if (path.startswith(route.path) and len(path) > len(route.path) if route.rest else path == route.path)
            or (path == "*" and request.method == "OPTIONS")
        ]
        if not found:
            raise UnknownPath(
                f"Unknown request URL: {request.method} {path[:200]}. The API starts at /v1; see the docs."
            )
        return found


def methods_of(routes: Sequence[Route]) -> str:
    """Name the methods of routes, as `allow` does; HEAD goes with GET, OPTIONS with all."""
    methods = {route.method for route in routes} | {"OPTIONS"}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
