"""Aider: `aider --message`."""

import os
import subprocess
import sys
from pathlib import Path

from kit import Cases, given

GIVEN = given()
CASES = Cases()


def _aider(*arguments: str) -> str:
    options = (
        "--yes-always --no-git --no-check-update --no-show-model-warnings --no-analytics --no-auto-lint --no-pretty"
    )
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("aider")),
            *options.split(),
            "--model",
            f"openai/{GIVEN.model}",
            *arguments,
        ],
        env={
            **os.environ,
            "OPENAI_API_BASE": f"{GIVEN.url}/v1",
            "OPENAI_API_KEY": GIVEN.key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-400:]
    return done.stdout


@CASES.scripted
def streamed() -> None:
    said = _aider("--chat-mode", "ask", "--message", "Repeat: A comet is a snowball.")
    assert "A comet is a snowball." in said, said


@CASES.scripted
def whole() -> None:
    said = _aider("--no-stream", "--chat-mode", "ask", "--message", "Repeat: A comet is a snowball.")
    assert "A comet is a snowball." in said, said


@CASES.scripted
def file_written() -> None:
    fence = "`" * 3
    wish = f"Repeat: comet.py\n{fence}python\nprint('snowball')\n{fence}"
    (Path.cwd() / "comet.py").write_text("print('ice')\n")
    _aider("--edit-format", "whole", "--message", wish, "comet.py")
    assert (Path.cwd() / "comet.py").read_text().strip() == "print('snowball')"


CASES.run()
