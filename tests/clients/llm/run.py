"""The `llm` command, which is told of Komeet in extra-openai-models.yaml."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from kit import PNG, Cases, given

GIVEN = given()
CASES = Cases()
HOME = Path.home() / "llm"
HOME.mkdir()
(HOME / "extra-openai-models.yaml").write_text(
    json.dumps(
        [
            {
                "model_id": "komeet",
                "model_name": GIVEN.model,
                "api_base": f"{GIVEN.url}/v1",
                "api_key_name": "komeet",
                "supports_schema": True,
                "supports_tools": True,
                "vision": True,
            }
        ]
    )
)
(HOME / "keys.json").write_text(json.dumps({"komeet": GIVEN.key}))


def _llm(*arguments: str) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("llm")), *arguments],
        env={**os.environ, "LLM_USER_PATH": str(HOME)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-400:]
    return done.stdout.strip()


@CASES.any_model
def streamed() -> None:
    assert _llm("-m", "komeet", "Hello", "-o", "max_tokens", "24")


@CASES.any_model
def whole() -> None:
    assert _llm("-m", "komeet", "--no-stream", "-s", "Be brief.", "Hello", "-o", "max_tokens", "24")


@CASES.scripted
def continued() -> None:
    _llm("-m", "komeet", "Hello")
    assert _llm("-c", "And again") == "You said: And again"
    (last, _) = json.loads(_llm("logs", "list", "-n", "2", "--json"))[-2:]
    assert last


@CASES.scripted
def schema() -> None:
    assert json.loads(_llm("-m", "komeet", "--schema", "name, people int", "'Paris' has 2000000 people")) == {
        "name": "Paris",
        "people": 2000000,
    }


@CASES.scripted
def tool() -> None:
    functions = 'def get_weather(city: str) -> str:\n    "Tell the weather."\n    return f"sunny in {city}"\n'
    said = _llm("-m", "komeet", "--functions", functions, "What is the weather in 'Paris'?")
    assert said.endswith("The tool said: sunny in Paris"), said


@CASES.scripted
def attachment() -> None:
    picture = Path.home() / "one.png"
    picture.write_bytes(base64.b64decode(PNG))
    assert "image/png" in _llm("-m", "komeet", "Look", "-a", str(picture))


CASES.run()
