"""Gemini CLI: `gemini -p`, which calls `/v1beta/models/M:generateContent` and `:streamGenerateContent`."""

import json
import os
import subprocess
from pathlib import Path

from kit import Cases, given

GIVEN = given()
CASES = Cases()
HOME = Path.home() / ".gemini"
HOME.mkdir()
(HOME / "settings.json").write_text(
    json.dumps(
        {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
            "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
        }
    )
)


def _gemini(*arguments: str) -> str:
    package = Path(os.environ["CLIENT_FOLDER"]) / "node_modules" / "@google" / "gemini-cli"
    program = json.loads((package / "package.json").read_text())["bin"]["gemini"]
    done = subprocess.run(
        ["node", str(package / program), "--skip-trust", "-m", GIVEN.model, *arguments],
        env={**os.environ, "GOOGLE_GEMINI_BASE_URL": GIVEN.url, "GEMINI_API_KEY": GIVEN.key},
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
    said = _gemini("-p", "Repeat: A comet is a snowball.")
    assert said.endswith("A comet is a snowball."), said


@CASES.scripted
def answer_as_json() -> None:
    said = _gemini("-o", "json", "-p", "Repeat: A comet is a snowball.")
    assert json.loads(said[said.index("{") :])["response"] == "A comet is a snowball.", said


@CASES.scripted
def tool() -> None:
    file = Path.cwd() / "comet.txt"
    file.write_text("It is a snowball.")
    said = _gemini("-y", "-p", f'Use the tool read_file with {{"file_path": "{file}"}}')
    assert "It is a snowball." in said, said


CASES.run()
