"""What one model costs at one provider, as integers."""

from msgspec import Struct

from komeet.core.money import PerMillion


class Rates(Struct, frozen=True, kw_only=True):
    """Prices per class, in nano-dollars per million tokens; None: priced as the class that contains it."""

    input: PerMillion
    output: PerMillion
    cache_read: PerMillion | None = None
    cache_write: PerMillion | None = None
    input_audio: PerMillion | None = None
    cache_read_audio: PerMillion | None = None
    output_audio: PerMillion | None = None


class Step(Struct, frozen=True, kw_only=True):
    """Rates for calls with more than `above` input tokens."""

    above: int
    rates: Rates


class ModelPrice(Struct, frozen=True, kw_only=True):
    """All that a model may cost at a provider."""

    version: str
    """The price book and its release: kept on every row that it priced."""
    steps: tuple[Step, ...]
    """By context length, ascending; the first one holds from 0 tokens."""
    tiers: dict[str, tuple[Step, ...]] = {}
    """The same by service tier (`flex`, `priority`), where that differs."""
    context_window: int | None = None
    """Tokens, where the price book says it."""
