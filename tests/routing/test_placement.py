"""Where calls may go: rules add up, and a call can demand more but never less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.errors import WireError
from komeet.routing.placement import Placement, Placements

RULES = Placements(
    [
        Placement(keys=("prod-*",), require=("eu",)),
        Placement(tags=("gdpr", "health"), require=("eu", "no-training")),
    ]
)


@pytest.mark.parametrize(
    ("name", "tags", "asked", "required"),
    [
        ("dev", (), None, set[str]()),
        ("prod-1", (), None, {"eu"}),
        ("dev", ("health",), None, {"eu", "no-training"}),
        ("prod-1", ("health",), b"own", {"eu", "no-training", "own"}),
        ("dev", ("other",), b"eu , own", {"eu", "own"}),
    ],
)
def test_what_is_required(name: str, tags: tuple[str, ...], asked: bytes | None, required: set[str]) -> None:
    assert RULES.required(name, tags, asked) == required


@pytest.mark.parametrize("asked", [b"", b"EU", b"eu;own", b",", b"eu,", b"\xff", b"a" * 65, b",".join([b"a"] * 17)])
def test_what_names_no_tags_is_a_mistake(asked: bytes) -> None:
    with pytest.raises(WireError, match="x-komeet-require"):
        Placements().required("k", (), asked)


TAGS = st.lists(st.sampled_from(["gdpr", "health", "x"]))


@given(TAGS, st.sampled_from(["prod-1", "dev"]), st.sampled_from([b"a", b"eu"]))
def test_a_call_cannot_demand_less(tags: list[str], name: str, asked: bytes) -> None:
    assert RULES.required(name, tags, asked) >= RULES.required(name, tags, None)
