"""The headers in which OpenAI tells callers how their limits stand."""

from collections.abc import Iterable

from komeet.limits.limit import Kind, Scope, Verdict

_MS = 1_000_000
_TOLD = (Scope.KEY, Scope.USER)
"""Whose limits a caller is told of: those of models and providers are shared with strangers."""


def headers_of(verdicts: Iterable[Verdict]) -> list[tuple[bytes, bytes]]:
    """Return `x-ratelimit-*` for requests and for tokens: of several limits the one with the least room left."""
    tightest: dict[Kind, Verdict] = {}
    for each in verdicts:
        kind = each.limit.kind
        if kind is Kind.CONCURRENT or each.limit.scope not in _TOLD:
            continue
        known = tightest.get(kind)
        if known is None or (each.remaining, -each.reset) < (known.remaining, -known.reset):
            tightest[kind] = each
    found: list[tuple[bytes, bytes]] = []
    for kind, each in tightest.items():
        name = kind.value.encode()
        found += [
            (b"x-ratelimit-limit-" + name, b"%d" % each.limit.amount),
            (b"x-ratelimit-remaining-" + name, b"%d" % each.remaining),
            (b"x-ratelimit-reset-" + name, duration(each.reset).encode()),
        ]
    return found


def duration(nanoseconds: int) -> str:
    """Write a time as OpenAI does: `20ms`, `1s`, `8.64s`, `6m0s`, `23h59m1s`; rounded up to milliseconds."""
    ms = -(-nanoseconds // _MS)
    if ms < 1000:
        return f"{ms}ms" if ms > 0 else "0s"
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 1000}.{rest % 1000:03d}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds
