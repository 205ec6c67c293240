"""The page on dialects says what the rows say."""

from pathlib import Path

from tests.wire.dialects.page import departures, page

from komeet.catalog.dialect import Dialect


def test_the_page_is_up_to_date() -> None:
    assert (Path(__file__).parents[3] / "docs" / "dialects.md").read_text() == page()


def test_no_departure_is_left_unsaid() -> None:
    every = Dialect(
        translated=("openai_chat",),
        developer=False,
        reasoning="reasoning",
        effort="thinking",
        schema=False,
        renamed={"a": "b"},
        lacks=("c",),
        call_ids="nine",
    )
    assert len(departures(every)) == len(Dialect.__struct_fields__)
    assert departures(Dialect()) == []
