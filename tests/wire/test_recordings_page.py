"""The page on recordings says what is on record."""

from pathlib import Path

from tests.wire.recordings import load, needs_recordings
from tests.wire.recordings_page import COUNTS, ELSEWHERE, counted, format_of, page


def test_the_page_is_up_to_date() -> None:
    assert (Path(__file__).parents[2] / "docs" / "recordings.md").read_text() == page(), "run `make docs`"


@needs_recordings
def test_every_recording_is_counted() -> None:
    every = load(lambda _: True)
    assert counted(every) == COUNTS
    assert sum(not format_of(each) for each in every) == ELSEWHERE
    assert len(every) == 1692
