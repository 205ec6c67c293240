"""`komeet budget`, `credit`, `voucher`: what was said is what holds, and it is shown so."""

import re

import pytest
from tests.cli.conftest import Komeet

MONEY = {"limit": "5", "spent": "0", "held": "0", "leased": "0", "left": "5"}


@pytest.fixture
def acme(komeet: Komeet) -> Komeet:
    for command in (
        ("org", "create", "acme"),
        ("project", "create", "web", "--org", "acme"),
        ("user", "create", "ann", "--org", "acme"),
        ("key", "create", "--name", "app"),
    ):
        assert komeet(*command).status == 0
    return komeet


@pytest.mark.parametrize(
    ("options", "scope", "name"),
    [
        (("--key", "app"), "key", "app"),
        (("--user", "ann"), "user", "ann"),
        (("--project", "web", "--org", "acme"), "project", "web"),
        (("--org", "acme"), "organisation", "acme"),
        (("--provider", "openai"), "provider", ""),
        (("--model", "openai/gpt-5*"), "model", ""),
    ],
)
def test_a_budget_of_each_kind(options: tuple[str, ...], scope: str, name: str, acme: Komeet) -> None:
    made = acme("budget", "create", "5", *options, "--per", "day", "--zone", "Asia/Tokyo", "--at", "80,50%", "--json")
    assert made.status == 0, made.err
    said = made.json
    assert (said["scope"], said["name"], said["per"], said["zone"]) == (scope, name, "day", "Asia/Tokyo")
    assert (said["hard"], said["at"], said["prepaid"], said["blocked"]) == (True, [50, 80], False, False)
    assert {each: said[each] for each in MONEY} == MONEY
    assert said["resets_at"].endswith("T15:00:00Z")
    assert said["begins_at"] < said["resets_at"]
    assert acme("budget", "list", "--json").json == [said]


def test_a_pattern_without_a_provider_is_of_any(acme: Komeet) -> None:
    assert acme("budget", "create", "5", "--model", "gpt-5*", "--json").json["subject"] == "*/gpt-5*"


def test_the_table_says_what_is_left_and_when_it_begins_anew(acme: Komeet) -> None:
    acme("budget", "create", "5", "--org", "acme", "--per", "month")
    acme("budget", "create", "0.5", "--user", "ann", "--soft", "--at", "100")
    head, first, second = acme("budget", "list").lines
    assert re.split(r"  +", head.strip()) == ["budget", "of", "limit", "spent", "left", "begins anew (UTC)", "notes"]
    assert re.match(r"1 +organisation 'acme', each month +\$5 +\$0 +\$5 +20\d\d-\d\d-01 00:00$", first)
    assert re.match(r"2 +user 'ann' +\$0.5 +\$0 +\$0.5 +soft, told at 100 %$", second)


def test_a_budget_is_changed_and_ended(acme: Komeet) -> None:
    acme("budget", "create", "5", "--org", "acme", "--per", "month", "--at", "50")
    assert acme("budget", "change", "1", "7", "--at", "none").out == (
        "budget 1 (organisation 'acme', each month): $7, hard\n"
    )
    assert acme("budget", "change", "1").status == 0
    assert acme("budget", "list", "--json").json[0]["limit"] == "7"
    assert acme("budget", "end", "1").status == 0
    assert acme("budget", "list", "--json").json == []
    said = acme("budget", "change", "1", "9")
    assert (said.status, "Budget 1 has ended" in said.err) == (1, True)
    assert "There is no budget 9" in acme("budget", "end", "9").err
    assert acme("budget", "create", "5", "--org", "acme", "--per", "month").status == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("5",), "one of --key"),
        (("5", "--key", "app", "--provider", "openai"), "one of --key"),
        (("5", "--key", "app", "--org", "acme"), "one of --key"),
        (("much", "--key", "app"), "not an amount"),
        (("5", "--key", "nope"), "No key"),
        (("5", "--project", "nope"), "No project"),
        (("5", "--key", "app", "--at", "0"), "percents"),
        (("5", "--key", "app", "--at", "50,many"), "percents"),
        (("5", "--key", "app", "--per", "day", "--zone", "Mars"), "no time zone 'Mars'"),
    ],
)
def test_what_is_not_understood_is_said(arguments: tuple[str, ...], said: str, acme: Komeet) -> None:
    answer = acme("budget", "create", *arguments)
    assert answer.status == 1
    assert said in answer.err
    assert acme("budget", "list", "--json").json == []


def test_one_of_a_kind_is_enough(acme: Komeet) -> None:
    assert acme("budget", "create", "5", "--key", "app").status == 0
    assert "change that one" in acme("budget", "create", "6", "--key", "app").err
    assert [key["budget"] for key in acme("key", "list", "--json").json] == ["5"]


def test_credits_make_a_prepaid_budget_that_only_they_raise(acme: Komeet) -> None:
    assert acme("credit", "grant", "acme", "10", "--reason", "pilot").out == "$10 for acme; its credits come to $10\n"
    again = ("credit", "grant", "acme", "5", "--reason", "invoice", "--reference", "inv-1")
    assert [acme(*again, "--json").json["new"] for _ in range(2)] == [True, False]
    assert acme("credit", "take", "acme", "3", "--reason", "mistake").out == "-$3 for acme; its credits come to $12\n"
    (budget,) = acme("budget", "list", "--json").json
    assert (budget["prepaid"], budget["hard"], budget["limit"]) == (True, True, "12")
    said = acme("budget", "change", str(budget["id"]), "100")
    assert (said.status, "`komeet credit grant` raises it" in said.err) == (1, True)
    assert acme("budget", "change", str(budget["id"]), "--at", "90").status == 0
    assert [one["amount"] for one in acme("credit", "list", "acme", "--json").json] == ["10", "5", "-3"]


def test_a_voucher_is_shown_once(acme: Komeet) -> None:
    code = acme("voucher", "create", "25", "--expires", "30d").out.strip()
    assert re.fullmatch(r"KM(-[2-9A-HJ-NP-Z]{5}){5}", code)
    assert code not in acme("voucher", "list").out
    for file in acme.data_dir.rglob("*"):
        assert not file.is_file() or code.encode() not in file.read_bytes()
    said = acme("voucher", "redeem", "-", "--org", "acme", stdin=code + "\n")
    assert said.out == "$25 for acme; its credits come to $25\n"
    said = acme("voucher", "redeem", code, "--org", "acme")
    assert (said.status, "redeemed already" in said.err) == (1, True)
    (listed,) = acme("voucher", "list", "--json").json
    assert (listed["state"], listed["hint"]) == ("redeemed", code[-4:])
    assert acme("voucher", "create", "25", "--expires", "2001-01-01").status == 1


def test_nothing_is_given_without_a_reason(acme: Komeet) -> None:
    assert acme("credit", "grant", "acme", "10", "--reason", " ").status == 1
    assert acme("credit", "grant", "acme", "10").status == 2
    assert acme("credit", "list", "acme").out == "acme has no credits.\n"
