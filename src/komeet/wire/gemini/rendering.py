"""What the rendering of one request has in hand."""

from collections.abc import Iterator

from komeet.canonical.part import CacheMark, ToolCall, ToolResult
from komeet.canonical.request import Request
from komeet.canonical.tool import flat_name
from komeet.catalog.profile import Profile
from komeet.core.errors import Unrepresentable
from komeet.wire import rendering


class Rendering(rendering.Rendering):
    """The model's profile, the names of the conversation's calls, and what is lost on the way."""

    __slots__ = ("_names", "_order")

    def __init__(self, request: Request, profile: Profile) -> None:
        super().__init__(request, profile)
        self._names: dict[str, str] = {}
        self._order: dict[str, int] = {}
        for index, call in enumerate(_calls(request)):
            self._names.setdefault(call.id, flat_name(call.namespace, call.name))
            self._order.setdefault(call.id, index)

    def lose_mark(self, mark: CacheMark | None, path: str) -> None:
        """Declare that a mark for the prompt cache, if there is one, is not sent."""
        if mark is not None:
            self.lose(f"{path}.{mark.name or 'cache'}", "Gemini caches prompts without being told where")

    def name_of(self, result: ToolResult) -> str:
        """Return the name of the function that a result is of."""
        return result.name or self._names.get(result.call_id, "") or "unknown"

    def order_of(self, result: ToolResult) -> int:
        """Return where among all calls the one stands that a result answers; after all where there is none."""
        return self._order.get(result.call_id, len(self._order)) if result.call_id else 0


def cannot(path: str, what: str) -> Unrepresentable:
    """Return the error for content that the format cannot carry."""
    return Unrepresentable(f"{path} is {what}, which Gemini cannot carry; leave it out.", param=path)


def _calls(request: Request) -> Iterator[ToolCall]:
    for turn in request.turns:
        for part in turn.parts:
            if isinstance(part, ToolCall):
                yield part
