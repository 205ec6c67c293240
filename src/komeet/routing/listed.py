"""A line of the list of models, and what it says of its model."""

from msgspec import Struct

from komeet.catalog.capabilities import Capability
from komeet.catalog.lifecycle import Lifespan
from komeet.catalog.price import ModelPrice
from komeet.catalog.profile import Profile


class Listed(Struct, frozen=True, kw_only=True):
    """A line of the list of models."""

    id: str
    """The shortest name that leads there."""
    provider: str
    model: str
    names: tuple[str, ...]
    """The names under which a key may be allowed it."""
    context_window: int | None
    price: ModelPrice | None
    listed: ModelPrice | None = None
    """What the price book says of it, where that is another."""
    answers: bool = True
    """Whether it generates something; False: it embeds, or judges."""
    profile: Profile | None = None
    """What it takes; None: that is not known, or differs from call to call."""
    capability: Capability | None = None
    lifespan: Lifespan | None = None
    """Until when it can be called, where an end is known."""

    @property
    def type(self) -> str:
        """What kind of model it is."""
        if self.capability is not None:
            return self.capability.type
        return "chat" if self.answers else "embedding"

    @property
    def features(self) -> tuple[str, ...]:
        """What it is known to do, of `catalog.capabilities.FEATURES`; that nothing is said means nothing."""
        found = set(() if self.capability is None else self.capability.features)
        if self.profile is not None and (self.profile.efforts or self.profile.default_effort is not None):
            found.add("reasoning")
        if self.price is not None and (self.price.steps[0].rates.cache_read or 0) > 0:
            found.add("prompt_cache")
        return tuple(sorted(found))

    @property
    def efforts(self) -> tuple[str, ...]:
        """The efforts of reasoning that it takes, where they are known."""
        return () if self.profile is None else self.profile.efforts

    @property
    def window(self) -> int | None:
        """Tokens of its context, or that it reads, where anybody says."""
        return self.context_window or (None if self.capability is None else self.capability.input_limit)

    @property
    def output_limit(self) -> int | None:
        """Most tokens of one answer, where anybody says."""
        own = None if self.profile is None else self.profile.output_limit
        return own or (None if self.capability is None else self.capability.output_limit)

    def ending(self, *, at: int) -> Lifespan | None:
        """Return until when it can be called, where its end is known at `at` (Unix milliseconds)."""
        return self.lifespan if self.lifespan is not None and self.lifespan.is_deprecated(at=at) else None
