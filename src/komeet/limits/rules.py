"""Which limits hold for a call: those that an operator wrote for keys, users, models and providers, by pattern."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct, convert

from komeet.limits.limit import DAY, MINUTE, Kind, Limit, Scope


class Amounts(Struct, frozen=True, kw_only=True):
    """How much of what; None: not limited."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent: int | None = None
    """Calls under way at once."""
    wait_seconds: float | None = None
    """How long a call may wait for its turn instead of being refused; None: nothing is said of it."""
    waiting: int | None = None
    """How many calls may wait."""


class Rule(Struct, frozen=True, kw_only=True):
    """Amounts for each of those that match, each for itself."""

    scope: Scope
    match: tuple[str, ...] = ("*",)
    """Patterns of which one must match."""
    tag: str | None = None
    """A tag that the key must have."""
    amounts: Amounts

    def matches(self, names: Iterable[str], tags: Sequence[str] = ()) -> bool:
        """Whether it is about somebody of these names and tags."""
        if self.tag is not None and self.tag not in tags:
            return False
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.match)


class Subject(Struct, frozen=True, kw_only=True):
    """Somebody whom limits may hold."""

    scope: Scope
    id: str
    name: str = ""
    """As people know it."""
    names: tuple[str, ...] = ()
    """What patterns are compared with."""
    tags: tuple[str, ...] = ()


def amounts_of(subject: Subject, rules: Sequence[Rule], own: Amounts | None = None) -> Amounts:
    """Return what holds for `subject`: of each amount its own, else that of the first rule that matches and has one."""
    found = {} if own is None else _said(own)
    for rule in rules:
        if rule.scope is subject.scope and rule.matches(subject.names, subject.tags):
            found = _said(rule.amounts) | found
    return convert(found, Amounts)


def limits_of(subject: Subject, amounts: Amounts) -> tuple[Limit, ...]:
    """Return the limits of these amounts, in the order in which every call takes them."""
    wanted = (
        (Kind.REQUESTS, MINUTE, amounts.requests_per_minute),
        (Kind.REQUESTS, DAY, amounts.requests_per_day),
        (Kind.TOKENS, MINUTE, amounts.tokens_per_minute),
        (Kind.TOKENS, DAY, amounts.tokens_per_day),
        (Kind.CONCURRENT, 0, amounts.concurrent),
    )
    return tuple(
        Limit(scope=subject.scope, subject=subject.id, kind=kind, amount=amount, per=per, name=subject.name)
        for kind, per, amount in wanted
        if amount is not None
    )


def _said(amounts: Amounts) -> dict[str, float]:
    return {name: value for name in Amounts.__struct_fields__ if (value := getattr(amounts, name)) is not None}
