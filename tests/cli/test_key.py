"""`komeet key`: a key is seen once, and what is said of it afterwards is so."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.conftest import Komeet

from komeet.access.keys import digest
from komeet.core.clock import ManualClock
from komeet.store.database import Store
from komeet.store.keys import create_key, list_keys

KEY = re.compile(r"sk-km-[A-Za-z0-9]{43}")


def test_a_key_stands_alone_on_standard_output(komeet: Komeet) -> None:
    said = komeet("key", "create", "--name", "app")
    assert said.status == 0
    assert KEY.fullmatch(said.out.removesuffix("\n"))
    assert said.err == ""


def test_a_key_is_shown_once_and_kept_nowhere(komeet: Komeet) -> None:
    key = komeet.key("--name", "app", "--tag", "blue")
    for command in (("key", "list"), ("key", "list", "--all", "--json"), ("doctor", "--json"), ("usage", "--json")):
        said = komeet(*command)
        assert said.status == 0
        assert not KEY.search(said.out + said.err)
    for file in komeet.data_dir.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes()


def test_a_key_has_what_was_asked_for(komeet: Komeet) -> None:
    made = komeet(
        *("key", "create", "--json", "--name", "app", "--budget", "2.50", "--expires", "2099-01-31", "--store-bodies"),
        *("--models", "gpt-5*", "--models", "openai/*,local/*", "--tag", "team=web", "--tag", "blue"),
    ).json
    assert KEY.fullmatch(made["key"])
    listed = komeet("key", "list", "--json").json[0]
    assert listed == {name: value for name, value in made.items() if name != "key"} | {"state": "active"}
    assert made["name"] == "app"
    assert made["budget"] == "2.5"
    assert made["models"] == ["gpt-5*", "openai/*", "local/*"]
    assert made["tags"] == ["team=web", "blue"]
    assert made["store_bodies"] is True
    assert made["expires_at"] == "2099-01-31T00:00:00Z"
    assert made["revoked_at"] is None
    assert made["hint"] == made["key"][-4:]
    assert abs(datetime.fromisoformat(made["created_at"]) - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_table_tells_keys_apart(komeet: Komeet) -> None:
    key = komeet.key("--name", "app", "--budget", "5", "--models", "gpt-5*", "--tag", "blue", "--expires", "2099-01-31")
    head, row = komeet("key", "list").lines
    assert head.split() == ["name", "key", "budget", "models", "tags", "ends", "(UTC)", "made", "id"]
    assert row.startswith(f"app   …{key[-4:]}      $5  gpt-5*  blue  2099-01-31 00:00  ")


def test_keys_that_are_over_are_listed_on_demand(komeet: Komeet) -> None:
    komeet.key("--name", "live")
    komeet.key("--name", "gone")
    assert komeet("key", "revoke", "gone").status == 0
    files = Store.open_for_cli(komeet.data_dir)
    create_key(files.ledger, ManualClock(), name="late", expires_at=1)
    files.close()
    assert [key["name"] for key in komeet("key", "list", "--json").json] == ["live"]
    states = {key["name"]: key["state"] for key in komeet("key", "list", "--all", "--json").json}
    assert states == {"live": "active", "gone": "revoked", "late": "expired"}
    assert "late" not in komeet("key", "list").out
    assert re.search(r"^late +…\S+ +expired ", komeet("key", "list", "--all").out, re.MULTILINE)


def test_without_keys_the_list_says_how_to_make_one_and_makes_nothing(komeet: Komeet) -> None:
    assert "komeet key create" in komeet("key", "list").out
    assert komeet("key", "list", "--json").json == []
    assert not komeet.data_dir.exists()
    komeet.key("--name", "gone")
    komeet("key", "revoke", "gone")
    assert "--all shows 1 more" in komeet("key", "list").out


@pytest.mark.parametrize("by", ["name", "id", "hint", "key"])
def test_a_key_is_revoked_by_whatever_names_it(komeet: Komeet, by: str) -> None:
    made = komeet("key", "create", "--json", "--name", "app").json
    komeet.key("--name", "other")
    said = komeet("key", "revoke", made[by])
    assert said.status == 0
    assert f"app (…{made['hint']}, {made['id']})" in said.out
    states = {key["name"]: key["state"] for key in komeet("key", "list", "--all", "--json").json}
    assert states == {"app": "revoked", "other": "active"}


def test_a_name_of_two_keys_revokes_neither(komeet: Komeet) -> None:
    ids = [komeet("key", "create", "--json", "--name", "app").json["id"] for _ in range(2)]
    said = komeet("key", "revoke", "app")
    assert said.status == 1
    assert all(key_id in said.err for key_id in ids)
    assert len(komeet("key", "list", "--json").json) == 2


def test_a_key_that_is_not_known_is_not_repeated(komeet: Komeet) -> None:
    komeet.key()
    stranger = "sk-km-" + "x" * 43
    said = komeet("key", "revoke", stranger)
    assert said.status == 1
    assert stranger not in said.out + said.err


def test_a_budget_is_changed_and_lifted(komeet: Komeet) -> None:
    komeet.key("--name", "app", "--budget", "5")
    assert "budget $7.25" in komeet("key", "budget", "app", "7.25").out
    assert komeet("key", "list", "--json").json[0]["budget"] == "7.25"
    assert "no budget" in komeet("key", "budget", "app", "none").out
    assert komeet("key", "list", "--json").json[0]["budget"] is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--budget", "lots"), "'lots'"),
        (("--budget", "-1"), "'-1'"),
        (("--budget", "nan"), "'nan'"),
        (("--expires", "soon"), "'soon'"),
        (("--expires", "2020-01-31"), "2020-01-31"),
        (("--expires", "0m"), "0m"),
        (("--name", " "), "--name"),
        (("--name", "a\nb"), "--name"),
        (("--models", ""), "--models"),
        (("--models", "gpt-5*,"), "--models"),
        (("--tag", "\x1b[31m"), "--tag"),
    ],
)
def test_a_mistake_is_named_and_no_key_is_made(komeet: Komeet, options: tuple[str, ...], named: str) -> None:
    said = komeet("key", "create", *options)
    assert said.status == 1
    assert said.out == ""
    assert said.err.startswith("komeet: ")
    assert named in said.err
    assert komeet("key", "list", "--all", "--json").json == []


def test_to_change_what_is_not_there_makes_nothing(komeet: Komeet) -> None:
    for command in (("revoke", "app"), ("budget", "app", "5")):
        said = komeet("key", *command)
        assert said.status == 1
        assert str(komeet.data_dir) in said.err
    assert not komeet.data_dir.exists()


def test_the_digest_is_what_is_kept(komeet: Komeet) -> None:
    key = komeet.key()
    files = Store.open_for_cli(komeet.data_dir)
    assert [known.digest for known in list_keys(files.ledger)] == [digest(key)]
    files.close()
