"""A call, as every format says it in its own way."""

from collections.abc import Mapping

from msgspec import Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import Opaque
from komeet.canonical.tool import Tool, ToolChoice
from komeet.canonical.turn import Turn


class Sampling(Struct, frozen=True, kw_only=True):
    """How the next token is drawn; None: as the model does it by default."""

    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class JsonOutput(Struct, frozen=True, kw_only=True):
    """The answer must be JSON; with a schema, JSON of that shape."""

    schema: bytes | None = None
    """JSON Schema, as it was written."""
    name: str = ""
    description: str | None = None
    strict: bool | None = None
    extras: Extras = {}


class Request(Struct, frozen=True, kw_only=True):
    """What a caller asks of a model."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | Opaque | None = None
    parallel_tool_calls: bool | None = None
    sampling: Sampling = Sampling()
    output_limit: int | None = None
    """Most output tokens of one answer, reasoning included."""
    stop: tuple[str, ...] = ()
    candidates: int | None = None
    """Answers asked for; None: one."""
    stream: bool | None = None
    include_usage: bool | None = None
    """Whether a stream shall report what it used, where the caller may choose."""
    effort: str | None = None
    """How much to reason, from `none` to `max`."""
    verbosity: str | None = None
    output: JsonOutput | Opaque | None = None
    service_tier: str | None = None
    metadata: Mapping[str, str] = {}
    extras: Extras = {}
    """Members that the model has no word for: they travel on in the same format, and are a loss in any other."""
