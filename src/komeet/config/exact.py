"""Values of the configuration file that YAML alone does not read exactly: amounts, and moments."""

from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation


class Exact(Decimal):
    """A number of zero or more, exactly as it is written: an amount in dollars, or a ratio."""


class Moment(int):
    """Unix milliseconds, written as a day (its beginning in UTC) or a time of one: `2026-12-01`."""


def exact_of(value: object) -> Exact:
    """Return the number that `value` of a file is; raises TypeError saying what is expected instead."""
    try:
        number = Exact(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or number < 0:
        raise TypeError(f"expected a number of zero or more, got {value!r}")
    return number


def moment_of(value: object) -> Moment:
    """Return the moment that `value` of a file names; raises TypeError saying what is expected instead."""
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        when = None
    if isinstance(when, date) and not isinstance(when, datetime):
        when = datetime.combine(when, time(0))
    if not isinstance(when, datetime):
        raise TypeError(f"expected a day, or a time of one, such as 2026-12-01 or 2026-12-01T08:00Z, got {value!r}")
    return Moment(round((when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp() * 1000))
