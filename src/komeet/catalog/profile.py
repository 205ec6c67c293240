"""What a model takes and how: facts about a model family, as data."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

DEFAULT_ENCODING: Final = "o200k_base"


class Sampling(StrEnum):
    """When a model takes sampling parameters (temperature, top_p, penalties, logprobs)."""

    ALWAYS = "always"
    WITHOUT_REASONING = "without_reasoning"
    """Only when the reasoning effort resolves to `none`."""
    NEVER = "never"


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
