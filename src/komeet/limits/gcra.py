"""The generic cell rate algorithm (ITU-T I.371), in exact integers.

A limit of A units in P nanoseconds is one number: the moment at which all that was taken has drained, the theoretical
arrival time. A unit drains in P/A nanoseconds, which need be no whole number: so levels are counted in nanoseconds
times A, and nothing is ever rounded. A call fits where the level after it is at most P ahead of now.

So A units may come at once, and room comes back evenly: in any time t at most A + A·t/P are admitted, and there is no
edge of a window at which it would be more.
"""

from komeet.limits.limit import Grant, Limit, Verdict

_MOST_AHEAD = 2
"""Periods: further ahead no level is believed. What was used above an estimate blocks for one period, not for days."""


def held(level: int, limit: Limit, now: int) -> int:
    """Return the level as it counts now: what has drained is gone, and what cannot be is cut.

    Args:
        level: as it was kept.
        limit: whose level it is.
        now: nanoseconds of the clock.
    """
    empty = now * limit.amount
    return min(max(level, empty), empty + _MOST_AHEAD * limit.period * limit.amount)


def rescaled(level: int, was: int, limit: Limit) -> int:
    """Return a level that was counted by another amount: the moment stays the same."""
    return level if was == limit.amount or was <= 0 else level * limit.amount // was


def judged(level: int, limit: Limit, units: int, now: int) -> tuple[Verdict, int]:
    """Return how the limit stands towards a call of so many units, and the level after it was admitted.

    Args:
        level: what `held` returned.
        limit: whose level it is.
        units: at least 0.
        now: nanoseconds of the clock.
    """
    period = limit.period
    empty = now * limit.amount
    full = empty + period * limit.amount
    after = level + units * period
    if after <= full or units == 0:
        room = max(0, full - after) // period
        return Verdict(limit=limit, remaining=room, reset=-((empty - after) // limit.amount)), after
    verdict = Verdict(
        limit=limit,
        remaining=max(0, full - level) // period,
        reset=-((empty - level) // limit.amount),
        retry_after=None if units > limit.amount else -((full - after) // limit.amount),
        fits=False,
    )
    return verdict, level


def corrected(level: int, grant: Grant, used: int, now: int) -> int:
    """Return the level once it is known what a call used.

    What it did not use goes back, but for the time that has passed beyond what it did use: others may have been
    admitted into that, and nobody may be given the same room twice. So no more is ever admitted than if each call had
    asked for what it used. What it used above its grant is added, whether or not there is room.

    Args:
        level: what `held` returned.
        grant: what the call was given.
        used: units.
        now: nanoseconds of the clock.
    """
    limit = grant.limit
    if used >= grant.units:
        return held(level + (used - grant.units) * limit.period, limit, now)
    undrained = max(0, grant.units * limit.period - (now - grant.at) * limit.amount)
    back = min((grant.units - used) * limit.period, undrained)
    return max(level - back, now * limit.amount)
