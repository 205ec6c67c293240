"""The part of a limit that one machine of several hands out."""

from msgspec.structs import replace

from komeet.limits.limit import Limit


def share(limit: Limit, nodes: int) -> Limit:
    """Return the limit that each of `nodes` machines keeps, so that together they keep `limit`.

    Never less than 1: with more machines than units, they admit one each.
    """
    return limit if nodes <= 1 else replace(limit, amount=max(1, limit.amount // nodes))
