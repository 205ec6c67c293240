"""Points in time as people write them."""

import re
from datetime import UTC, datetime

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment(text: str, now_ms: int) -> int:
    """Return the Unix milliseconds that `text` means: `90d`, `12h`, or a date such as `2027-01-31` (UTC).

    Raises:
        ValueError: it is neither; the message says what would be.
    """
    match = re.fullmatch(r"(\d{1,5})([mhdw])", text.strip())
    if match:
        return now_ms + int(match[1]) * _UNITS[match[2]] * 1000
    return _date(text)


def since(text: str, now_ms: int) -> int:
    """Return the Unix milliseconds at which a span of that length up to now began, or a date did."""
    match = re.fullmatch(r"(\d{1,5})([mhdw])", text.strip())
    if match:
        return now_ms - int(match[1]) * _UNITS[match[2]] * 1000
    return _date(text)


def between(first: str | None, last: str | None, now_ms: int) -> tuple[int | None, int | None]:
    """Return the Unix milliseconds that `--since` and `--until` mean, as `since` reads them; None: that end is open.

    Raises:
        ValueError: one of them is neither a span nor a date, or the first is not before the last.
    """
    begins = None if first is None else since(first, now_ms)
    ends = None if last is None else since(last, now_ms)
    if begins is not None and ends is not None and begins >= ends:
        raise ValueError(f"--since {first} is not before --until {last}")
    return begins, ends


def _date(text: str) -> int:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is neither a span (30m, 12h, 90d, 4w) nor a date (2027-01-31)") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
