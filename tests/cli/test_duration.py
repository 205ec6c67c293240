"""Points in time as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.cli.duration import moment, since
from komeet.cli.output import timestamp, when

NOW = 1_763_812_800_000  # 2025-11-22T12:00:00Z
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "hours"), [("12h", 12), ("90d", 90 * 24), ("4w", 4 * 7 * 24), ("120m", 2), (" 1d ", 24), ("0m", 0)]
)
def test_a_span_goes_on_from_now_or_back(text: str, hours: int) -> None:
    assert moment(text, NOW) == NOW + hours * HOUR
    assert since(text, NOW) == NOW - hours * HOUR


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2025-11-22", "2025-11-22T00:00:00Z"),
        ("2025-11-22T12:30", "2025-11-22T12:30:00Z"),
        ("2025-11-22T12:30+02:00", "2025-11-22T10:30:00Z"),
    ],
)
def test_a_date_is_utc_unless_it_says_otherwise(text: str, at: str) -> None:
    assert timestamp(moment(text, NOW)) == at
    assert since(text, NOW) == moment(text, NOW)


@pytest.mark.parametrize("text", ["", "soon", "1", "1y", "-1d", "1.5h", "2025-13-01", "1d2h", "999999d"])
def test_anything_else_is_refused_with_what_would_do(text: str) -> None:
    for read in (moment, since):
        with pytest.raises(ValueError, match=r"30m, 12h, 90d, 4w"):
            read(text, NOW)


@given(st.integers(0, 99_999), st.sampled_from("mhdw"))
def test_every_span_can_be_written_as_a_date(count: int, unit: str) -> None:
    assert len(when(moment(f"{count}{unit}", NOW))) == len("2025-11-22 12:00")
    assert when(since(f"{count}{unit}", NOW))
