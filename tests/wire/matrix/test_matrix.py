"""Every feature on every pair of formats: carried, adapted with these losses, or refused by this path."""

import tomllib
from pathlib import Path
from typing import Final

import pytest
from tests.wire.matrix.cases import CALLERS, TARGETS, Case
from tests.wire.matrix.outcome import every, outcome
from tests.wire.matrix.page import page

HERE: Final = Path(__file__).parent
EXPECTED: Final[dict[str, dict[str, list[str] | str]]] = tomllib.loads((HERE / "expected.toml").read_text())
"""By case, then by pair: the paths of the losses, or the path that the refusal names. A pair without an entry loses
nothing."""

ALL: Final = list(every())


@pytest.mark.parametrize(
    ("case", "caller", "target"), ALL, ids=[f"{case.title}-{caller}-{target}" for case, caller, target in ALL]
)
def test_what_becomes_of_a_feature(case: Case, caller: str, target: str) -> None:
    found = outcome(case, caller, target)
    expected = EXPECTED.get(case.title, {}).get(f"{caller}-{target}", [])
    assert (found.refused or list(found.losses)) == expected
    if not found.refused:
        sent = found.body.decode()
        needles = case.needles if found.losses else (*case.needles, *case.unless_lost)
        assert [needle for needle in needles if needle not in sent] == []


def test_no_expectation_is_about_nothing() -> None:
    there = {(case.title, f"{caller}-{target}") for case, caller, target in ALL}
    assert {(title, pair) for title, pairs in EXPECTED.items() for pair in pairs} <= there


def test_nothing_is_lost_between_like_and_like() -> None:
    lossy = [
        (case.title, name)
        for case, caller, name in ALL
        if caller == name and (found := outcome(case, caller, name)) and (found.losses or found.refused)
    ]
    assert lossy == []
    assert {caller for _, caller, _ in ALL} == set(CALLERS)
    assert {target for _, _, target in ALL} == set(TARGETS)


def test_the_page_says_what_the_tests_find() -> None:
    assert (HERE.parents[2] / "docs" / "translation.md").read_text() == page()
