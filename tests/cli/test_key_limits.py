"""How often a key may call, as the command line sets it and tells it."""

import pytest
from tests.cli.conftest import Komeet


def test_a_key_has_the_limits_that_it_was_made_with(komeet: Komeet) -> None:
    made = komeet("key", "create", "--json", "--name", "ci", "--rpm", "60", "--tpd", "5000", "--wait", "2.5").json
    assert made["limits"] == {"requests_per_minute": 60, "tokens_per_day": 5000, "wait_seconds": 2.5}
    assert komeet("key", "list", "--json").json[0]["limits"] == made["limits"]


def test_limits_are_changed_as_a_whole(komeet: Komeet) -> None:
    komeet.key("--name", "ci", "--rpm", "60")
    said = komeet("key", "limit", "ci", "--rpd", "1000", "--concurrent", "3")
    assert "1,000 requests per day, 3 concurrent" in said.out
    assert komeet("key", "list", "--json").json[0]["limits"] == {"requests_per_day": 1000, "concurrent": 3}
    assert "no limits of its own" in komeet("key", "limit", "ci").out
    assert komeet("key", "list", "--json").json[0]["limits"] == {}


@pytest.mark.parametrize("option", ["--rpm", "--rpd", "--tpm", "--tpd", "--concurrent"])
def test_a_limit_of_nothing_is_refused(komeet: Komeet, option: str) -> None:
    assert komeet("key", "create", option, "0").status != 0


def test_a_key_that_is_not_there_is_named(komeet: Komeet) -> None:
    komeet.key()
    said = komeet("key", "limit", "nobody", "--rpm", "1")
    assert said.status == 1
    assert "nobody" in said.err
