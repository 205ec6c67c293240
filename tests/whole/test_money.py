"""Budgets of people, credits, webhooks, and the ways out of orphans: by the real command, on a running gateway."""

import http.client
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.whole.gateway import Answer, Gateway, komeet, towards
from tests.whole.processes import until
from tests.whole.upstream import HELLO, Received, Step, Upstream, usage, whole

from komeet.access.signature import sign, verify
from komeet.core.secrets import Secret

pytestmark = pytest.mark.timeout(300)

SECRET = Secret("whsec-0123456789abcdef")
CALL: dict[str, Any] = {"max_completion_tokens": 10}
COST = 100 * 1_750 + 10 * 14_000
"""What a call is billed: 100 tokens in, 10 out."""
BILLED = HELLO | {"usage": usage(100, 10)}


class Hooks:
    """Takes webhooks."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, bytes]] = []
        hooks = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hooks.taken.append((self.headers["Komeet-Signature"].encode(), body))
                self.send_response(200 if len(hooks.taken) > 1 else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its base calls it
                """Stay silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?from=komeet"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def hooks() -> Iterator[Hooks]:
    running = Hooks()
    yield running
    running.close()


@pytest.fixture(scope="module")
def money(shared_upstream: Upstream, hooks: Hooks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = towards(shared_upstream.url) | {
        "budgets": {"webhook": {"url": hooks.url, "secret": SECRET.reveal()}},
        "payments": {"webhook_secret": SECRET.reveal()},
    }
    with Gateway(tmp_path_factory.mktemp("money"), config) as running:
        yield running
    assert SECRET.reveal() not in running.errors()
    assert running.audit() == []


@pytest.fixture(autouse=True)
def billed(upstream: Upstream) -> None:
    upstream.answer = lambda _: whole(BILLED)


def said(gateway: Gateway, *command: str) -> Any:
    answer = gateway.command(*command, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def budget_of(gateway: Gateway, scope: str, name: str) -> Any:
    found = [one for one in said(gateway, "budget", "list") if (one["scope"], one["name"]) == (scope, name)]
    assert len(found) == 1
    return found[0]


def _learn() -> None:
    """Wait until the running server has surely looked for budgets that are new."""
    time.sleep(0.6)


def goes_on_within_a_second(gateway: Gateway, key: str) -> None:
    end = time.monotonic() + 1.5
    while (answer := gateway.chat(key, **CALL)).status != 200:
        assert time.monotonic() < end, answer.body


def test_two_keys_spend_the_budget_of_their_project_and_a_raise_lets_them_go_on(money: Gateway) -> None:
    said(money, "org", "create", "acme")
    project = said(money, "project", "create", "web", "--org", "acme")
    keys = [money.create_key(name, "--project", "web") for name in ("one", "two")]
    least = f"0.{3 * COST:09d}"
    made = said(money, "budget", "create", least, "--project", "web", "--per", "day", "--zone", "Europe/Amsterdam")
    _learn()
    statuses = [money.chat(keys[number % 2], **CALL) for number in range(8)]
    assert {answer.status for answer in statuses} <= {200, 402}
    refused = next(answer for answer in statuses if answer.status == 402)
    assert refused.error["code"] == "budget_exceeded"
    message = refused.error["message"]
    for part in ("project 'web', each day", f"limit ${least.rstrip('0')}", "spent", "held", "begins anew at"):
        assert part in message
    assert "(Europe/Amsterdam)" in message
    until(lambda: budget_of(money, "project", "web")["leased_nano"] == 0)
    spent = budget_of(money, "project", "web")["spent_nano"]
    assert spent == COST * sum(answer.status == 200 for answer in statuses) <= 3 * COST
    assert money.command("budget", "change", str(made["id"]), "1").returncode == 0
    for key in keys:
        goes_on_within_a_second(money, key)
    assert project["organisation_name"] == "acme"


def test_what_is_archived_is_refused_within_a_second(money: Gateway, upstream: Upstream) -> None:
    said(money, "org", "create", "gone")
    said(money, "user", "create", "gil", "--org", "gone")
    key = money.create_key("gils", "--user", "gil")
    assert money.chat(key).status == 200
    assert money.command("user", "archive", "gil").returncode == 0
    time.sleep(1)
    upstream.received.clear()
    for _ in range(8):  # whichever worker it reaches
        answer = money.chat(key)
        assert (answer.status, answer.error["code"]) == (403, "not_allowed")
        assert "user 'gil'" in answer.error["message"]
    assert upstream.received == []


def test_a_voucher_lets_a_prepaid_organisation_go_on(money: Gateway) -> None:
    said(money, "org", "create", "prepaid")
    key = money.create_key("paid", "--org", "prepaid")
    said(money, "credit", "grant", "prepaid", f"0.{COST:09d}", "--reason", "a taste")
    until(lambda: money.chat(key, **CALL).status == 402)
    code = said(money, "voucher", "create", "1")["code"]
    assert said(money, "voucher", "redeem", code, "--org", "prepaid")["new"] is True
    assert money.command("voucher", "redeem", code, "--org", "prepaid").returncode == 1
    goes_on_within_a_second(money, key)
    budget = budget_of(money, "organisation", "prepaid")
    assert (budget["prepaid"], budget["limit_nano"]) == (True, COST + 1_000_000_000)


def pay(gateway: Gateway, event: dict[str, Any], at: int | None = None, secret: Secret = SECRET) -> Answer:
    body = json.dumps(event).encode()
    signature = sign(secret, body, int(time.time()) if at is None else at)
    return gateway.request("POST", "/webhooks/payments", body, {"Komeet-Signature": signature.decode()}, key="")


def test_a_payment_counts_once_and_only_with_a_fresh_signature(money: Gateway) -> None:
    said(money, "org", "create", "payer")
    event = {"id": "pay_1", "organisation": "payer", "amount": 1050, "currency": "usd"}
    assert pay(money, event, secret=Secret("another-secret-of-chance")).status == 401
    assert pay(money, event, at=int(time.time()) - 400).status == 401
    assert money.request("POST", "/webhooks/payments", json.dumps(event).encode()).status == 401
    assert said(money, "credit", "list", "payer") == []
    assert [pay(money, event).json["status"] for _ in range(3)] == ["credited", *["already_credited"] * 2]
    assert pay(money, event | {"amount": 9999}).status == 400
    assert pay(money, event | {"id": "pay_2", "organisation": "nobody"}).status == 400
    (entry,) = said(money, "credit", "list", "payer")
    assert (entry["amount"], entry["kind"], entry["reference"]) == ("10.5", "payment", "pay_1")
    assert budget_of(money, "organisation", "payer")["limit"] == "10.5"


def test_a_threshold_is_told_once_by_log_metric_and_webhook(money: Gateway, hooks: Hooks) -> None:
    key = money.create_key("watched")
    made = said(money, "budget", "create", f"0.{2 * COST:09d}", "--key", "watched", "--soft", "--at", "50,100")
    _learn()
    for _ in range(3):
        assert money.chat(key, **CALL).status == 200
    until(lambda: len(hooks.taken) >= 3)
    for signature, body in hooks.taken:
        verify(SECRET, signature, body, int(time.time()))
    bodies = [json.loads(body) for _, body in hooks.taken]
    told = {body["id"]: (body["budget"]["id"], body["percent"]) for body in bodies}
    assert sorted(told.values()) == [(made["id"], 50), (made["id"], 100)]
    assert all(2 * COST * body["percent"] <= 100 * body["spent_nano"] <= 300 * COST for body in bodies)
    assert len(bodies) == 3  # the first was answered 503, and sent again
    metrics = money.request("GET", "/metrics").body.decode()
    for percent in (50, 100):
        assert f'komeet_budget_crossed_total{{kind="soft",percent="{percent}",scope="key"}} 1.0' in metrics
        assert money.errors().count(f"of key 'watched': {percent} % of") == 1


def test_an_orphan_of_a_crash_is_resolved_and_corrected(upstream: Upstream, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, towards(upstream.url)).start()
    key = gateway.create_key("app", "--budget", "1")
    _learn()
    release = threading.Event()

    def holding(_: Received) -> Iterator[Step]:
        release.wait(20)
        yield from whole(BILLED)

    upstream.answer = holding

    def call() -> None:
        with suppress(OSError, http.client.HTTPException):
            gateway.chat(key, **CALL)

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: len(upstream.received) == 1)
    gateway.kill()
    release.set()
    caller.join()
    upstream.answer = lambda _: whole(BILLED)
    with gateway:
        (orphan,) = said(gateway, "ledger", "orphans")
        budget = budget_of(gateway, "key", "app")
        assert orphan["held_nano"] == budget["held_nano"] > 0
        attempt = orphan["attempt"]
        assert gateway.command("ledger", "resolve", attempt, "--reason", "r").returncode == 1
        resolved = said(gateway, "ledger", "resolve", attempt, "--cost", "0.02", "--reason", "on the invoice")
        assert (resolved["kind"], resolved["cost"], resolved["charge"]) == ("resolution", "0.02", "0.02")
        assert gateway.command("ledger", "resolve", attempt, "--void", "--reason", "r").returncode == 1
        assert said(gateway, "ledger", "orphans") == []
        corrected = said(gateway, "ledger", "correct", attempt, "--cost", "0.03", "--reason", "misread")
        assert (corrected["kind"], corrected["cost"], corrected["charge"]) == ("correction", "0.01", "0.01")
        budget = budget_of(gateway, "key", "app")
        assert (budget["held"], budget["spent"]) == ("0", "0.03")
        assert gateway.chat(key, **CALL).status == 200
        listed = said(gateway, "ledger", "entries")
        assert [(one["kind"], one["reason"]) for one in listed] == [
            ("resolution", "on the invoice"),
            ("correction", "misread"),
        ]
        assert all(one["actor"] for one in listed)
        assert said(gateway, "ledger", "uncertain") == []
        assert gateway.audit() == []


def test_what_was_unpriced_is_priced_later_after_a_look(upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, towards(upstream.url)) as gateway:
        request = gateway.chat(model="openai/house-model", **CALL).headers["x-request-id"]
        assert gateway.outcome(request).unpriced
        config = towards(upstream.url) | {
            "prices": [{"provider": "openai", "model": "house-model", "input": 2, "output": 4}],
            "sales": [{"for": {"key": said(gateway, "key", "list")[0]["id"]}, "cost": 1.5}],
        }
        path = tmp_path / "priced.yaml"
        path.write_text(yaml.safe_dump(config))

        def reprice(*options: str) -> Any:
            command = ("ledger", "reprice", "--since", "1h", "--json", "--config", str(path), *options)
            answer = komeet(*command, data_dir=tmp_path)
            assert answer.returncode == 0, answer.stderr
            return json.loads(answer.stdout)

        cost = 100 * 2_000 + 10 * 4_000
        for options in ((), ("--apply", "--reason", "now priced")):
            (one,) = reprice(*options)
            assert (one["cost_nano"], one["new_cost_nano"], one["new_charge_nano"]) == (0, cost, cost * 3 // 2)
        assert reprice() == []
        assert reprice("--model", "gpt-*") == []
        (entry,) = said(gateway, "ledger", "entries")
        assert (entry["kind"], entry["cost_nano"], entry["charge_nano"]) == ("repricing", cost, cost * 3 // 2)
        assert entry["reason"].startswith("now priced (configuration ")
        assert gateway.audit() == []
