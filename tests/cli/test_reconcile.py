"""`komeet reconcile`: files as providers write them, against a ledger that agrees with them, and one that does not."""

from pathlib import Path

import pytest
from tests.cli.conftest import Komeet

from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.database import Store
from komeet.store.keys import create_key
from komeet.store.ledger_rows import Memory, apply
from komeet.store.transactions import writing

FILES = Path(__file__).parent / "statements"
DAY = 1_792_800_000_000  # 2026-10-24T00:00Z


@pytest.fixture
def spent(komeet: Komeet) -> None:
    """What the files say: three calls of gpt-5.2, one of gpt-5-mini, two of Claude."""
    files = Store.open_for_cli(Path(komeet.data_dir))
    key, _ = create_key(files.ledger, ManualClock(DAY), name="app")
    calls = [
        *[("openai", "gpt-5.2", 2_625_000, Usage(input=1000, cache_read=n, output=100)) for n in (0, 500, 500)],
        ("openai", "gpt-5-mini", 225_000, Usage(input=500, output=50)),
        *[
            (
                "anthropic",
                "claude-sonnet-4-5",
                5_250_000,
                Usage(input=1000, cache_read=100, cache_write=150, output=200),
            )
            for _ in range(2)
        ],
    ]
    for number, (provider, model, cost, usage) in enumerate(calls):
        hold = Hold(
            attempt_id=f"att_{number}", request_id="req", key_id=key.id, accounts=(key.account,), provider=provider,
            model=model, model_asked=model, amount=Nano(10**9), held_at=DAY,
        )  # fmt: skip
        at = DAY + number * 3_600_000
        outcome = Outcome(attempt_id=hold.attempt_id, state=State.SETTLED, cost=Nano(cost), usage=usage, ended_at=at)
        with writing(files.ledger) as connection:
            apply(connection, [hold, outcome], Memory(), "wrk")
    files.close()


EXACT = ("--tolerance", "0", "--least", "0")
INVOICE = ("--map", "date=Day,model=Model,cost=Amount,requests=Requests", "--provider", "openai")


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.iterdir()))
def test_a_report_that_agrees(komeet: Komeet, spent: None, name: str) -> None:
    more = INVOICE if name == "invoice.csv" else ()
    said = komeet("reconcile", str(FILES / name), *EXACT, *more)
    assert (said.status, said.lines[0]) == (0, "Everything agrees."), (said.out, said.err)
    assert said.lines[1].endswith("0 of 2 differ." if "anthropic" not in name else "0 of 1 differ.")


def test_a_variance_is_explained_and_is_status_1(komeet: Komeet, spent: None, tmp_path: Path) -> None:
    text = (FILES / "openai_usage.json").read_text()
    file = tmp_path / "usage.json"
    file.write_text(text.replace('"num_model_requests": 3', '"num_model_requests": 5').replace("3000", "5000"))
    said = komeet("reconcile", str(file))
    assert said.status == 1
    assert "2 calls that the ledger does not have" in said.out
    assert "input +2,000 tokens" in said.out
    (one,) = komeet("reconcile", str(file), "--json").json
    assert (one["model"], one["differing"]) == ("gpt-5.2", ["requests", "input"])
    assert (one["provider"]["requests"], one["ledger"]["requests"]) == (5, 3)
    assert len(komeet("reconcile", str(file), "--json", "--all").json) == 2


def test_amounts_beyond_the_tolerance(komeet: Komeet, spent: None, tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    file.write_text((FILES / "openai_costs.json").read_text().replace("0.0042", "0.0084"))
    assert komeet("reconcile", str(file)).status == 0  # less than a cent
    said = komeet("reconcile", str(file), "--least", "0.001")
    assert said.status == 1
    assert "$0.0042" in said.out
    (one,) = komeet("reconcile", str(file), "--least", "0.001", "--json").json
    assert one["variance"] == "0.0042"


def test_a_file_that_cannot_be_used_is_status_2(komeet: Komeet, spent: None, tmp_path: Path) -> None:
    cases = {
        "a.json": ("{", "line 1"),
        "b.csv": ("x,y\n1,2\n", "line 1"),
        "c.json": ("[]", "nothing in it"),
        "e.csv": ("", "line 1"),
    }
    for name, (text, part) in cases.items():
        file = tmp_path / name
        file.write_text(text)
        said = komeet("reconcile", str(file))
        assert (said.status, said.out) == (2, ""), name
        assert part in said.err
        assert name in said.err
    assert komeet("reconcile", str(tmp_path / "none.json")).status == 2
    (tmp_path / "d.csv").write_bytes(b"start_time,amount_value\n1792800000,\xff\n")
    assert "line 2: it is not UTF-8" in komeet("reconcile", str(tmp_path / "d.csv")).err
    usage = str(FILES / "openai_usage.json")
    for wrong in (("--tolerance", "much"), ("--tolerance", "-1"), ("--least", "x"), ("--map", "x")):
        assert komeet("reconcile", usage, *wrong).status == 2, wrong
    assert "--provider" in komeet("reconcile", str(FILES / "invoice.csv"), "--map", "date=Day,cost=Amount").err


def test_another_name_of_the_provider_is_pointed_out(komeet: Komeet, spent: None) -> None:
    said = komeet("reconcile", str(FILES / "openai_costs.json"), "--provider", "azure", *EXACT)
    assert said.status == 1
    assert "of anthropic, openai" in said.err
