"""A running Komeet: the real command, in a process of its own, on a free port."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml
from sqlalchemy import Engine, func, select

from komeet.canonical.usage import Usage
from komeet.core.secrets import Secret
from komeet.ledger.port import State
from komeet.store import tables
from komeet.store.audit import audit
from komeet.store.database import DataFiles, Store
from komeet.store.engine import Databases
from komeet.store.ledger_rows import usage_of
from komeet.store.usage import UsageRow, report_usage


def komeet(
    *arguments: str, data_dir: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "komeet", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment(data_dir) | dict(environment or {}),
    )


def clean_environment(data_dir: Path) -> dict[str, str]:
    """An environment in which no provider is found."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL", "_TOKEN"))}
    return kept | {"KOMEET_DATA_DIR": str(data_dir), "COLUMNS": "200", "NO_COLOR": "1"}


class Ended(NamedTuple):
    """An outcome, with what was asked for."""

    model: str
    state: State
    usage: Usage
    cost: int
    estimated: bool
    unpriced: bool


def _ended(engine: Engine, request_id: str | None = None) -> list[Ended]:
    wanted = (
        select(tables.outcomes, tables.holds.c.model)
        .join_from(tables.outcomes, tables.holds, tables.holds.c.attempt_id == tables.outcomes.c.attempt_id)
        .order_by(tables.holds.c.attempt_id)
    )
    if request_id is not None:
        wanted = wanted.where(tables.holds.c.request_id == request_id)
    with engine.connect() as connection:
        return [
            Ended(
                model=row["model"],
                state=State(row["state"]),
                usage=usage_of(row),
                cost=row["cost"],
                estimated=row["estimated"],
                unpriced=row["unpriced"],
            )
            for row in connection.execute(wanted).mappings()
        ]


@dataclass
class Answer:
    """What came back, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error, checked for the four members that it always has."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


@dataclass
class Gateway:
    """`komeet serve`, from start to stop."""

    data_dir: Path
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    port: int = 0
    key: str = ""

    def start(self) -> Self:
        """Start it, and return once it listens."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        path = self.data_dir / "test.yaml"
        path.write_text(yaml.safe_dump(dict(self.config)))
        self.log = (self.data_dir / "test.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "komeet", "serve", "--port", "0", *(["--config", str(path)] if self.config else [])],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=clean_environment(self.data_dir) | dict(self.environment),
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.search(r"https?://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        if not self.port:
            self.kill()
            raise AssertionError(f"komeet did not start: {self.errors()}")
        if not self.key:
            self.key = self.create_key("test")
        return self

    def create_key(self, name: str, *options: str) -> str:
        """Make a key by the real command."""
        made = self.command("key", "create", "--name", name, *options)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on its data; it reads the configuration only where that says where the data is."""
        environment = {"KOMEET_CONFIG": str(self.data_dir / "test.yaml")} if self.databases.shared else {}
        return komeet(*arguments, data_dir=self.data_dir, environment=environment)

    @property
    def databases(self) -> Databases:
        """Where its databases are."""
        address = self.config.get("ledger", {}).get("database")
        return Databases(ledger=Secret(address) if address else None)

    def errors(self) -> str:
        """All that it wrote to standard error."""
        return (self.data_dir / "test.log").read_text()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert "Traceback" not in self.errors(), self.errors()

    def stop(self) -> None:
        """End it as an operator does."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._close()

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        if "files" in vars(self):
            self.files.close()
            del self.files

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Answer:
        """Make one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Authorization": f"Bearer {self.key if key is None else key}"} | dict(headers or {})
        if not sent["Authorization"].removeprefix("Bearer "):
            del sent["Authorization"]
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        answer = Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
        connection.close()
        return answer

    def chat(self, key: str | None = None, **fields: Any) -> Answer:
        """Make one call."""
        body = {"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}]} | fields
        return self.request("POST", "/v1/chat/completions", json.dumps(body).encode(), key=key)

    def usage(self, *options: str) -> list[dict[str, Any]]:
        """What `komeet usage` says."""
        said = self.command("usage", *options, "--json")
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    @cached_property
    def files(self) -> DataFiles:
        """Its databases, beside it."""
        return Store.open_for_cli(self.data_dir, self.databases)

    def total(self) -> UsageRow:
        """The sums of the ledger, read from its file."""
        return report_usage(self.files.ledger, "provider").total

    def outcome(self, request_id: str) -> Ended:
        """The end of the one attempt of a request; waits for it to be written."""
        end = time.monotonic() + 20
        while not (found := _ended(self.files.ledger, request_id)):
            assert time.monotonic() < end, f"{request_id} has no outcome"
            time.sleep(0.005)
        assert len(found) == 1
        return found[0]

    def outcomes(self) -> list[tuple[str, State]]:
        """Every outcome: the model that was asked for, and how it ended; in the order of the attempts."""
        return [(ended.model, ended.state) for ended in _ended(self.files.ledger)]

    def audit(self) -> list[str]:
        """What is wrong with the books: nothing, where the balances follow from the rows."""
        return audit(self.files.ledger)

    def held(self, request_id: str) -> bool:
        """Whether anything was held for a request, as far as the ledger has been written."""
        with self.files.ledger.connect() as connection:
            found = connection.execute(select(tables.holds.c.attempt_id).where(tables.holds.c.request_id == request_id))
            return found.first() is not None

    def holds(self) -> int:
        """How many holds were ever made."""
        with self.files.ledger.connect() as connection:
            return connection.execute(select(func.count()).select_from(tables.holds)).scalar_one()


ONCE = {"attempts": 1, "breaker": {"failures": 1_000_000, "percent": 100}}
"""Nothing is tried again, and whoever fails is asked again all the same: for tests of a single attempt."""


def towards(url: str, **more: Any) -> dict[str, Any]:
    """A configuration whose `openai` is at `url`; a call is one attempt."""
    provider = {"name": "openai", "base_url": url, "api_key": "sk-upstream-canary", **more}
    return {"providers": [provider], "failover": ONCE}
