"""What a model wrote, as text: for counting tokens where the provider does not."""

from collections.abc import Iterable, Iterator

from komeet.canonical.part import Part, Reasoning, Refusal, ServerTool, Text, ToolCall


def written(parts: Iterable[Part]) -> Iterator[str]:
    """Yield the texts of an answer, its reasoning, and the names and arguments of its calls."""
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                yield text
            case ToolCall(name=name, arguments=arguments):
                yield name
                yield arguments.decode("utf-8", "replace")
            case ServerTool(value=value):
                yield bytes(value).decode("utf-8", "replace")
            case _:
                pass
