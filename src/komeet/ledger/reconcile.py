"""A provider's report against the ledger: where they differ, by how much, and why."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from komeet.canonical.usage import Usage
from komeet.ledger.statement import Billed, Statement

_DAY_MS: Final = 86_400_000
_DATED: Final = re.compile(r"-(20\d\d-\d\d-\d\d|20\d{6})$")
CLASSES: Final = ("input", "cache_read", "cache_write", "output")
"""The classes of tokens that reports have."""


class Kept(Struct, frozen=True, kw_only=True):
    """What the ledger has of one model in one hour."""

    hour: int
    model: str
    calls: int
    """Settled, and orphans."""
    orphans: int
    estimated: int
    unpriced: int
    usage: Usage
    cost: int
    """Nano-dollars."""


class Tolerance(Struct, frozen=True, kw_only=True):
    """What is no variance yet: the larger of the two."""

    ppm: int = 5_000
    """Millionths of what the provider says."""
    nano: int = 10_000_000
    """Nano-dollars, for amounts."""


class Numbers(Struct, kw_only=True):
    """Sums of one side; None: it does not say."""

    requests: int | None = None
    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    cost: int | None = None


class Comparison(Struct, frozen=True, kw_only=True):
    """One span of time and model, on both sides."""

    start: int
    end: int
    model: str
    """Without the date of a version; empty: all models."""
    billed: Numbers
    """What the provider says."""
    kept: Numbers
    """What the ledger says."""
    orphans: int
    estimated: int
    unpriced: int
    differing: tuple[str, ...]
    """What differs by more than is tolerated: `cost`, `requests`, classes of tokens."""
    reasons: tuple[str, ...]
    """What may explain it, in words."""

    @property
    def within(self) -> bool:
        """Whether nothing differs by more than is tolerated."""
        return not self.differing

    @property
    def variance(self) -> int:
        """Nano-dollars that the provider bills beyond what the ledger has; 0 where the report has no amounts."""
        return 0 if self.billed.cost is None else self.billed.cost - (self.kept.cost or 0)


def plain_model(name: str) -> str:
    """Return a model's name without the date of its version: providers bill `gpt-4o-2024-08-06` for `gpt-4o`."""
    return _DATED.sub("", name)


def reconcile(statement: Statement, kept: Iterable[Kept], tolerance: Tolerance) -> list[Comparison]:
    """Compare a report with what the ledger has of the same provider and time, by span of time and model.

    Args:
        statement: the report. If a line of it is of all models, all is compared without regard to models.
        kept: of the ledger, for the whole time of the report.
        tolerance: what is no variance yet.
    """
    by_model = all(line.model for line in statement.lines)
    spans = sorted(set(statement.spans))
    billed: dict[tuple[int, int, str], Numbers] = {}
    for line in statement.lines:
        key = (line.start, line.end, plain_model(line.model) if by_model else "")
        _add_line(billed.setdefault(key, Numbers()), line)
    ours: defaultdict[tuple[int, int, str], list[Kept]] = defaultdict(list)
    for one in kept:
        start, end = _span_of(spans, one.hour)
        ours[start, end, plain_model(one.model) if by_model else ""].append(one)
    said = {
        name for name in Numbers.__struct_fields__ if any(getattr(one, name) is not None for one in billed.values())
    }
    return [_compare(key, billed.get(key), ours.get(key, []), said, tolerance) for key in sorted({*billed, *ours})]


def _span_of(spans: Sequence[tuple[int, int]], hour: int) -> tuple[int, int]:
    """The shortest span of the report that an hour lies in; of a report that leaves out empty days: its day."""
    around = [(end - start, start, end) for start, end in spans if start <= hour < end]
    if around:
        _, start, end = min(around)
        return start, end
    return hour // _DAY_MS * _DAY_MS, hour // _DAY_MS * _DAY_MS + _DAY_MS


def _add_line(numbers: Numbers, line: Billed) -> None:
    for name in Numbers.__struct_fields__:
        more = getattr(line, name)
        if more is not None:
            setattr(numbers, name, (getattr(numbers, name) or 0) + more)


def _compare(
    key: tuple[int, int, str], billed: Numbers | None, ours: Sequence[Kept], said: set[str], tolerance: Tolerance
) -> Comparison:
    theirs = billed or Numbers(**dict.fromkeys(said, 0))
    kept = Numbers(
        requests=sum(one.calls for one in ours),
        cost=sum(one.cost for one in ours),
        **{name: sum(getattr(one.usage, name) for one in ours) for name in CLASSES},
    )
    differing = tuple(name for name in Numbers.__struct_fields__ if _differs(name, theirs, kept, tolerance))
    counts = {name: sum(getattr(one, name) for one in ours) for name in ("orphans", "estimated", "unpriced")}
    return Comparison(
        start=key[0],
        end=key[1],
        model=key[2],
        billed=theirs,
        kept=kept,
        differing=differing,
        reasons=tuple(_reasons(theirs, kept, differing, counts)) if differing else (),
        **counts,
    )


def _differs(name: str, billed: Numbers, kept: Numbers, tolerance: Tolerance) -> bool:
    theirs, ours = getattr(billed, name), getattr(kept, name)
    if theirs is None:
        return False
    allowed = abs(theirs) * tolerance.ppm // 1_000_000
    if name == "cost":
        allowed = max(allowed, tolerance.nano)
    return abs(theirs - ours) > allowed


def _reasons(billed: Numbers, kept: Numbers, differing: Sequence[str], counts: dict[str, int]) -> Iterable[str]:
    """From the surest to the least."""
    yield from _calls(billed, kept, differing)
    if counts["orphans"]:
        yield f"{counts['orphans']:,} orphans, whose cost is not in the ledger until they are resolved"
    if counts["estimated"]:
        yield f"{counts['estimated']:,} calls whose tokens were estimated here"
    if counts["unpriced"]:
        yield f"{counts['unpriced']:,} calls without a known price, which the ledger has at $0"
    tokens = [name for name in CLASSES if name in differing]
    if tokens:
        yield ", ".join(f"{name} {_signed(getattr(billed, name) - getattr(kept, name))}" for name in tokens) + " tokens"
    knows_tokens = any(getattr(billed, name) is not None for name in CLASSES)
    if "cost" in differing and kept.requests and not tokens and "requests" not in differing:
        if knows_tokens:
            yield "the same tokens at another price: see `prices` in the configuration"
        elif billed.cost and not any(counts.values()):
            yield "another price, or other tokens: the usage report of the same days tells which"


def _calls(billed: Numbers, kept: Numbers, differing: Sequence[str]) -> Iterable[str]:
    """What is missing on one side, or there more than once."""
    calls = kept.requests or 0
    if "requests" in differing and billed.requests is not None:
        more = billed.requests - calls
        if more > 0:
            yield f"{more:,} calls that the ledger does not have: made with the same credential beside Komeet, or lost"
        elif billed.requests and calls % billed.requests == 0:
            yield f"the ledger has each call {calls // billed.requests} times, or the report a part of them"
        else:
            yield f"{-more:,} calls that the provider does not have: not billed, or reported under another day or model"
    elif not calls and any(getattr(billed, name) for name in differing):
        yield "the ledger has no call of it: made beside Komeet, or under another name of the model"
    elif calls and not any(getattr(billed, name) for name in Numbers.__struct_fields__):
        yield "the report has nothing of it: not billed yet, or under another name of the model"


def _signed(number: int) -> str:
    return f"{number:+,}"
