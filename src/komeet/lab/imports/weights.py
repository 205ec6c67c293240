"""Weights of any kind, as whole numbers in the same proportion."""

from collections.abc import Sequence
from decimal import Decimal
from math import gcd, lcm


def whole(weights: Sequence[Decimal], most: int) -> list[int]:
    """Return whole numbers from 1 to `most` in the proportion of `weights`, as small as they can be.

    Where they would be above `most`, they are rounded.
    """
    ratios = [weight.as_integer_ratio() for weight in weights]
    common = lcm(*(below for _, below in ratios))
    scaled = [above * (common // below) for above, below in ratios]
    divisor = gcd(*scaled) or 1
    largest = max(scaled, default=0) // divisor
    if largest > most:
        return [max(each * most // (largest * divisor), 1) for each in scaled]
    return [max(each // divisor, 1) for each in scaled]
