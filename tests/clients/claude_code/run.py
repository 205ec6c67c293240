"""Claude Code: `claude -p`, which calls `/v1/messages?beta=true`."""

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from kit import Cases, given

GIVEN = given()
CASES = Cases()
SYSTEM = {"Darwin": "darwin", "Linux": "linux"}[platform.system()]
MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _claude(*arguments: str) -> str:
    packages = Path(os.environ["CLIENT_FOLDER"]) / "node_modules" / "@anthropic-ai"
    done = subprocess.run(
        [str(packages / f"claude-code-{SYSTEM}-{MACHINE}" / "claude"), "-p", "--model", GIVEN.model, *arguments],
        env={
            **os.environ,
            "ANTHROPIC_BASE_URL": GIVEN.url,
            "ANTHROPIC_AUTH_TOKEN": GIVEN.key,
            "ANTHROPIC_SMALL_FAST_MODEL": GIVEN.model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": GIVEN.model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-400:]
    return done.stdout.strip()


@CASES.scripted
def answer() -> None:
    said = _claude("Repeat: A comet is a snowball.")
    assert said == "A comet is a snowball.", said


@CASES.scripted
def answer_as_json() -> None:
    said = json.loads(_claude("--output-format", "json", "Repeat: A comet is a snowball."))
    result: Any = said if isinstance(said, dict) else said[-1]
    assert result["result"] == "A comet is a snowball.", said
    assert result["usage"]["input_tokens"] > 0
    assert result["usage"]["output_tokens"] > 0


@CASES.scripted
def answer_streamed() -> None:
    options = ("--output-format", "stream-json", "--include-partial-messages", "--verbose")
    events = [json.loads(line) for line in _claude(*options, "Repeat: A comet is a snowball.").splitlines()]
    deltas = [
        event["event"]["delta"] for event in events if event.get("event", {}).get("type") == "content_block_delta"
    ]
    assert "".join(delta.get("text", "") for delta in deltas) == "A comet is a snowball.", deltas


@CASES.scripted
def command() -> None:
    asked = 'Use the tool Bash with {"command": "echo from-the-$((40+2))", "description": "Says it"}'
    said = _claude("--allowedTools", "Bash", "--", asked)
    assert "from-the-42" in said, said


CASES.run()
