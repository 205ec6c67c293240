"""What a model takes and how: facts about a model family, as data."""

from enum import StrEnum
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from komeet.catalog.dialect import Dialect

DEFAULT_ENCODING: Final = "o200k_base"
CHARACTERS: Final = "characters"
"""In place of a tokenizer, of models that are billed by characters: each counts as a token."""


class Sampling(StrEnum):
    """When a model takes sampling parameters (temperature, top_p, penalties, logprobs)."""

    ALWAYS = "always"
    WITHOUT_REASONING = "without_reasoning"
    """Only when the reasoning effort resolves to `none`."""
    NEVER = "never"


class ThinkingStyle(StrEnum):
    """How a model of Anthropic's format is told to reason."""

    NONE = "none"
    """It does not reason."""
    BUDGET = "budget"
    """`thinking.budget_tokens`."""
    ADAPTIVE = "adaptive"
    """`thinking.type: adaptive`, with `output_config.effort`."""


class Structured(StrEnum):
    """How a model is made to answer with JSON of a schema."""

    FORMAT = "format"
    """By a member of the request."""
    TOOL = "tool"
    """By a tool that it must call."""


CachePlace: TypeAlias = Literal["tools", "system", "messages"]
"""A part of a prompt that may end in a mark for the prompt cache."""


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model family. The defaults are what an unknown OpenAI-compatible model is treated as: nothing is changed."""

    limit_field: str | None = None
    """The only name under which Chat Completions takes the output limit; None: as the caller wrote it."""
    sampling: Sampling = Sampling.ALWAYS
    default_effort: str | None = None
    """The reasoning effort when the caller names none; None: not known, or not a reasoning model."""
    context_window: int | None = None
    """Tokens of input and output together."""
    input_limit: int | None = None
    """Most input tokens, where it is less than the context window."""
    output_limit: int | None = None
    """Most output tokens of one answer, reasoning included."""
    image_output: int | None = None
    """Most output tokens of one picture that it makes, those of its first drafts included."""
    least_audio_ms: int = 0
    """Milliseconds as which a shorter sound is billed."""
    formats: tuple[str, ...] = ()
    """The only wire formats in which it is offered; empty: all that its provider speaks."""
    efforts: tuple[str, ...] = ()
    """The reasoning efforts that it takes; another is replaced by the nearest. Empty: any."""
    thinking: ThinkingStyle = ThinkingStyle.ADAPTIVE
    """How Anthropic's format tells it to reason."""
    structured: Structured = Structured.FORMAT
    """How Anthropic's format asks it for JSON of a schema."""
    instructions_anywhere: bool = False
    """Whether it takes instructions between messages in Anthropic's format."""
    default_output: int = 32_000
    """The output limit where a format demands one and the caller set none; no more than `output_limit`."""
    takes_reasoning: bool = True
    """Whether Chat Completions takes earlier reasoning back (`reasoning_content`)."""
    cache_breakpoints: bool = False
    """Whether it takes marks for its prompt cache in OpenAI's formats (`prompt_cache_breakpoint`)."""
    cache_points: tuple[CachePlace, ...] = ()
    """Where Bedrock takes marks for its prompt cache (`cachePoint`)."""
    cache_hour: bool = False
    """Whether Bedrock keeps what is so marked for an hour, if asked to."""
    effort_member: str | None = None
    """Where Bedrock is told the effort, in `additionalModelRequestFields`: a member, or `object.member`, with
    `type: enabled` beside it. None: as `thinking` says."""
    top_k_member: str | None = None
    """Where Bedrock is told `top_k`, likewise; None: the model does not take it."""
    accepts: tuple[str, ...] = ()
    """The only members of a Chat Completions request that it is sent; others are left out. Empty: all."""
    refuses: tuple[str, ...] = ()
    """Members that it cannot honour and that must not be left out in silence: the call is refused."""
    candidates: int | None = None
    """Most answers to one call (`n`), where that is limited."""
    hosted_tools: bool = False
    """Whether it runs tools of the provider (searches), charged on top of tokens, without being asked to."""
    template_tokens: int = 1024
    """Most tokens that the provider adds to a prompt (chat template, tool instructions) beyond one for each byte."""
    encoding: str = DEFAULT_ENCODING
    """The tokenizer that counts for it where the provider does not."""
    dialect: Dialect = Dialect()
    """How its provider departs from the format: from the provider's row, not from `profiles.toml`."""

    def refuses_sampling(self, effort: str | None, model: str) -> str | None:
        """Return why the model would refuse sampling parameters, or None where it takes them."""
        effort = effort or self.default_effort
        match self.sampling:
            case Sampling.ALWAYS:
                return None
            case Sampling.WITHOUT_REASONING:
                if effort in (None, "none"):
                    return None
                return f"{model} takes it only without reasoning, and the effort is {effort!r}"
            case Sampling.NEVER:
                return f"{model} does not take it"
