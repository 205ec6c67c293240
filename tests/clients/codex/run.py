"""Codex CLI: `codex exec`, which speaks Responses only."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from kit import Cases, given

GIVEN = given()
CASES = Cases()
OPTIONS = ("exec", "--skip-git-repo-check", "--json", "--dangerously-bypass-approvals-and-sandbox")
HOME = Path.home() / ".codex"
HOME.mkdir()
(HOME / "config.toml").write_text(
    f"""
model = {json.dumps(GIVEN.model)}
model_provider = "komeet"
[model_providers.komeet]
name = "Komeet"
base_url = "{GIVEN.url}/v1"
env_key = "KOMEET_API_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""
)


def _codex(*arguments: str) -> list[Any]:
    folder = Path(os.environ["CLIENT_FOLDER"])
    done = subprocess.run(
        ["node", str(folder / "node_modules" / "@openai" / "codex" / "bin" / "codex.js"), *OPTIONS, *arguments],
        env={**os.environ, "KOMEET_API_KEY": GIVEN.key},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-400:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _items(events: list[Any], kind: str) -> list[Any]:
    done = [event["item"] for event in events if event["type"] == "item.completed"]
    return [item for item in done if item["type"] == kind]


@CASES.scripted
def answer() -> None:
    events = _codex("Repeat: A comet is a snowball.")
    assert [item["text"] for item in _items(events, "agent_message")] == ["A comet is a snowball."], events
    usage = next(event["usage"] for event in events if event["type"] == "turn.completed")
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0


@CASES.scripted
def command() -> None:
    events = _codex('Use the tool exec_command with {"cmd": "echo from-the-$((40+2))"}')
    (ran,) = _items(events, "command_execution")
    assert "from-the-42" in ran["aggregated_output"], events
    assert "from-the-42" in _items(events, "agent_message")[-1]["text"], events


@CASES.scripted
def typed_output() -> None:
    schema = Path.home() / "schema.json"
    wanted = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema.write_text(json.dumps({**wanted, "additionalProperties": False}))
    events = _codex("--output-schema", str(schema), "The city of 'Paris'")
    assert json.loads(_items(events, "agent_message")[-1]["text"]).keys() == {"name"}


CASES.run()
