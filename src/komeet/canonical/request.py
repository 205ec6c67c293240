"""A call, as every format says it in its own way."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import CacheMark, Opaque
from komeet.canonical.tool import Tool, ToolChoice
from komeet.canonical.turn import Turn


class Sampling(Struct, frozen=True, kw_only=True):
    """How the next token is drawn; None: as the model does it by default."""

    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    top_k: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class Thinking(Struct, frozen=True, kw_only=True):
    """Whether and how to reason, beyond the effort."""

    mode: Literal["adaptive", "budget", "disabled"] | None = None
    """As the model sees fit, within a budget, or not at all; None: as the effort says."""
    budget: int | None = None
    """Most tokens of reasoning."""
    summary: str | None = None
    """How the reasoning is to be shown: `auto`, `concise`, `detailed`; `omitted`: not at all."""
    extras: Extras = {}


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
    thinking: Thinking | None = None
    verbosity: str | None = None
    output: JsonOutput | Opaque | None = None
    service_tier: str | None = None
    user: str | None = None
    """Whom the call is for, in the caller's own words."""
    prompt_cache_key: str | None = None
    """What calls have in common whose prompts begin alike."""
    cache: CacheMark | None = None
    """The whole prompt is to be cached."""
    metadata: Mapping[str, str] = {}
    extras: Extras = {}
    """Members that the model has no word for: they travel on in the same format, and are a loss in any other."""
