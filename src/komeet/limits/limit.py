"""What a limit is, and what is said of it."""

from enum import StrEnum

from msgspec import Struct

MINUTE = 60
DAY = 86_400
"""Seconds."""


class Scope(StrEnum):
    """Whom a limit holds, each for itself."""

    KEY = "key"
    USER = "user"
    MODEL = "model"
    PROVIDER = "provider"


class Kind(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"
    """Calls that are under way."""


class Limit(Struct, frozen=True, kw_only=True):
    """So much of something for somebody, in a time."""

    scope: Scope
    subject: str
    """Who: the id of a key or of a user, `provider/model`, the name of a provider."""
    kind: Kind
    amount: int
    """At least 1."""
    per: int = 0
    """Seconds; 0 for what is not of a time: calls under way."""
    name: str = ""
    """The subject as people know it."""

    @property
    def period(self) -> int:
        """The time in nanoseconds."""
        return self.per * 1_000_000_000

    @property
    def identity(self) -> str:
        """What its state is kept under; a limit whose amount changes stays the same one."""
        return f"{self.scope}\n{self.kind}\n{self.per}\n{self.subject}"

    def __str__(self) -> str:
        whose = f"the {self.scope} {self.name or self.subject}"
        if self.kind is Kind.CONCURRENT:
            return f"{self.amount:,} calls at once for {whose}"
        return f"{self.amount:,} {self.kind} per {'minute' if self.per == MINUTE else 'day'} for {whose}"


class Verdict(Struct, frozen=True, kw_only=True):
    """How one limit stands, after a call was admitted or refused."""

    limit: Limit
    remaining: int
    """What it has room for now."""
    reset: int = 0
    """Nanoseconds until it has all its room again."""
    retry_after: int | None = None
    """Nanoseconds until it has room for the refused call, if nobody else comes; None: it admitted it, or never will."""
    fits: bool = True
    """Whether it has room for the call."""


class Want(Struct, frozen=True):
    """What a call asks of one limit."""

    limit: Limit
    units: int
    """Requests or tokens; 1 for a call under way."""


class Grant(Struct, frozen=True):
    """What a call was given of one limit, so that what it does not use goes back."""

    limit: Limit
    units: int
    at: int
    """When it was given, in nanoseconds of the clock."""


class Taken(Struct, frozen=True):
    """The answer to a call's wants: all of them, or none."""

    verdicts: tuple[Verdict, ...]
    grants: tuple[Grant, ...] = ()
    """Empty where it is refused, or nothing was asked for."""

    @property
    def refusal(self) -> Verdict | None:
        """The limit that refuses; of several the one that has room last."""
        worst: Verdict | None = None
        for each in self.verdicts:
            if not each.fits and (worst is None or _wait(each) > _wait(worst)):
                worst = each
        return worst


def _wait(verdict: Verdict) -> float:
    return float("inf") if verdict.retry_after is None else verdict.retry_after
