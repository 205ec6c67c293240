"""Own prices and rules of sale in the real command: what is posted, what the caller is told, what is logged."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.whole.gateway import Gateway, towards
from tests.whole.upstream import HELLO, Upstream, usage, whole

from komeet.core.money import Nano, dollars
from komeet.store import tables

PRICING = {
    "prices": [
        {"provider": "openai", "model": "gpt-5.2", "from": "2020-01-01", "input": 1, "output": 10},
        {"provider": "openai", "model": "gpt-5.2", "from": "2999-01-01", "input": 100, "output": 100},
        {"provider": "openai", "model": "house-model", "input": 2, "output": 4},
    ],
    "sales": [
        {"for": {"tag": "partner"}, "cost": 1.5},
        {"for": {"tag": "listed"}, "list": "0.8"},
        {"for": {"tag": "trial"}, "cost": 1, "free": {"dollars": "0.004", "per": "total"}},
        {"for": {"tag": "tokens"}, "cost": 2, "free": {"tokens": 1_575, "per": "total"}},
    ],
}
USED = HELLO | {"usage": usage(1_000, 50)}


@pytest.fixture(scope="module")
def priced(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("priced")
    with Gateway(folder, towards(shared_upstream.url, prices_of="openai") | PRICING) as running:
        yield running


def posted(gateway: Gateway, request_id: str) -> tuple[int, int, str]:
    """Cost, charge and version of the one attempt of a request."""
    gateway.outcome(request_id)
    columns = tables.outcomes.c
    wanted = (
        select(columns.cost, columns.charge, columns.price_version)
        .join_from(tables.outcomes, tables.holds, tables.holds.c.attempt_id == columns.attempt_id)
        .where(tables.holds.c.request_id == request_id)
    )
    with gateway.files.ledger.connect() as connection:
        return tuple(connection.execute(wanted).one())


@pytest.mark.parametrize(
    ("options", "model", "cost", "charge", "rule"),
    [
        ((), "gpt-5.2", 1_500_000, 1_500_000, ""),
        (("--tag", "partner"), "gpt-5.2", 1_500_000, 2_250_000, "1.5 of cost"),
        (("--tag", "listed"), "gpt-5.2", 1_500_000, 1_960_000, "0.8 of list"),  # of 1.75 and 14 dollars
        (("--tag", "listed"), "house-model", 2_200_000, 1_760_000, "0.8 of list"),
    ],
)
def test_cost_and_charge_are_posted_apart(
    priced: Gateway, upstream: Upstream, options: tuple[str, ...], model: str, cost: int, charge: int, rule: str
) -> None:
    upstream.answer = lambda _: whole(USED)
    key = priced.create_key(f"key-{cost}-{charge}", *options)
    answer = priced.chat(key, model=model)
    assert answer.status == 200
    found = posted(priced, answer.headers["x-request-id"])
    assert found[:2] == (cost, charge)
    assert found[2].startswith("configuration ")
    assert found[2].endswith(f"; {rule}" if rule else found[2].split("; ")[0])
    assert answer.headers["x-komeet-cost"] == f"0.{charge:09d}".rstrip("0")
    assert priced.audit() == []


@pytest.mark.parametrize(
    ("tag", "whole_charge", "free"), [("trial", 1_500_000, 4_000_000), ("tokens", 3_000_000, 4_500_000)]
)
def test_what_is_free_is_free_once_whatever_worker_a_call_met(
    upstream: Upstream, tmp_path: Path, tag: str, whole_charge: int, free: int
) -> None:
    upstream.answer = lambda _: whole(USED)
    config = towards(upstream.url, prices_of="openai") | PRICING | {"server": {"workers": 2}}
    with Gateway(tmp_path, config) as gateway:
        key = gateway.create_key("trial", "--tag", tag)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(gateway.chat, [key] * 8))
        assert {answer.status for answer in answers} == {200}
        charges = [posted(gateway, answer.headers["x-request-id"])[1] for answer in answers]
        row = gateway.total()
        assert (row.cost, row.charge, row.free) == (8 * 1_500_000, 8 * whole_charge - free, free)
        assert sum(charges) == row.charge
        assert gateway.usage("--by", "key")[0]["free"] == dollars(Nano(free))
        assert gateway.audit() == []
        audited = gateway.command("ledger", "audit")
        assert audited.returncode == 0, audited.stdout + audited.stderr


def test_a_model_without_a_price_is_named_in_the_log(priced: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: whole(USED)
    answer = priced.chat(model="openai/nobody-knows")
    assert answer.headers["x-komeet-cost"] == "unpriced"
    priced.outcome(answer.headers["x-request-id"])
    assert "unpriced: what openai/nobody-knows costs at openai is not known" in priced.errors()
    budgeted = priced.create_key("with-a-budget", "--budget", "1")
    refused = priced.chat(budgeted, model="openai/nobody-knows")
    assert (refused.status, refused.error["code"]) == (403, "not_allowed")
