"""`komeet org`, `project`, `user`: names and ids both work, and a key belongs to what it says."""

import pytest
from tests.cli.conftest import Komeet


def test_a_key_of_a_project_and_a_user(komeet: Komeet) -> None:
    org = komeet("org", "create", "acme").out.strip()
    project = komeet("project", "create", "web", "--org", "acme", "--json").json
    user = komeet("user", "create", "ann", "--org", org, "--json").json
    assert (project["organisation"], project["organisation_name"], user["name"]) == (org, "acme", "ann")
    made = komeet("key", "create", "--project", "web", "--user", user["id"], "--json").json
    assert (made["organisation"], made["project"], made["user"]) == (org, project["id"], user["id"])


def test_what_contradicts_itself_is_refused(komeet: Komeet) -> None:
    for name in ("acme", "other"):
        assert komeet("org", "create", name).status == 0
    assert komeet("project", "create", "web", "--org", "acme").status == 0
    said = komeet("key", "create", "--project", "web", "--org", "other")
    assert said.status == 1
    assert "The project 'web' is in the organisation 'acme'" in said.err
    assert "belongs to one organisation" in said.err
    assert komeet("key", "list", "--json").json == []
    said = komeet("key", "create", "--org", "nope")
    assert (said.status, "`komeet org create` makes one" in said.err) == (1, True)


@pytest.mark.parametrize("group", ["org", "project", "user"])
def test_archived_ones_are_listed_on_demand_and_come_back(group: str, komeet: Komeet) -> None:
    more = () if group == "org" else ("--org", "acme")
    if more:
        komeet("org", "create", "acme")
    assert komeet(group, "create", "one", *more).status == 0
    key = ("key", "create", f"--{group}", "one")
    assert komeet(*key).status == 0
    assert komeet(group, "archive", "one").status == 0
    assert komeet(group, "list", "--json").json == []
    (archived,) = komeet(group, "list", "--all", "--json").json
    assert archived["archived_at"] is not None
    assert "archived" in komeet(group, "list", "--all").out
    assert "is archived" in komeet(*key).err
    assert [one["state"] for one in komeet("key", "list", "--all", "--json").json] == ["archived"]
    assert komeet(group, "restore", archived["id"]).status == 0
    assert [one["state"] for one in komeet("key", "list", "--json").json] == ["active"]


def test_nothing_is_made_by_looking(komeet: Komeet) -> None:
    assert komeet("org", "list").out == "No organisations yet.\n"
    assert komeet("org", "archive", "acme").status == 1
    assert not komeet.data_dir.exists()


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31m"])
def test_a_name_is_printable_text(name: str, komeet: Komeet) -> None:
    assert komeet("org", "create", name).status == 1
