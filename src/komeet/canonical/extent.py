"""How much a request may make a provider read and do: what an upper bound of its cost is made from."""

from msgspec import Struct


class Extent(Struct, frozen=True, kw_only=True):
    """Upper limits that can be told from the bytes of a request alone."""

    bytes: int
    """Bytes of everything that can become text tokens; a token is never shorter than a byte."""
    media: int = 0
    """Parts that are not text (images, audio, files)."""
    external: bool = False
    """Whether it refers to content that is not in its bytes (a URL, a file id, a stored prompt)."""
    hosted_tools: bool = False
    """Whether it asks for tools that the provider runs and charges on top of tokens."""
    candidates: int = 1
    """Answers asked for (`n`)."""
    inputs: int = 1
    """Texts that are read each for itself: the model's input limit holds for each of them."""
    searches: int = 0
    """Searches that the provider runs and charges each, at most."""
    output_limit: int | None = None
    """Most output tokens of one answer, reasoning included; None: the caller set none."""
    service_tier: str | None = None
