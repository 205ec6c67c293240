"""What is sent to OpenAI passes a fake of it that refuses what its OpenAPI document does not allow.

`npm install @stdy/cli` brings the fake; KOMEET_STEADY names its program, KOMEET_OPENAPI the document. Skipped without.
"""

import http.client
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from tests.wire.matrix.outcome import every, outcome
from tests.wire.matrix.test_recordings import ASKED, envelope_of, format_of

from komeet.catalog.profiles import load
from komeet.core.errors import WireError
from komeet.wire.format import Envelope
from komeet.wire.formats import BOTH_ROLES

STEADY: Final = os.environ.get("KOMEET_STEADY", "")
DOCUMENT: Final = os.environ.get("KOMEET_OPENAPI", "")
PATHS: Final = {"openai_chat": "/chat/completions", "openai_responses": "/responses"}
LEFT_OUT: Final = {
    "a member that is not known here": "that is what it is about",
    "sound": "OpenAI's library has `input_audio` for Responses, its document has not",
}
PORT: Final = 4478

pytestmark = pytest.mark.skipif(not (STEADY and DOCUMENT), reason="KOMEET_STEADY and KOMEET_OPENAPI are not both set")


@pytest.fixture(scope="module")
def fake() -> Iterator[None]:
    brackets = [
        f"--validator-{part}-{kind}-format=brackets" for part in ("query", "form") for kind in ("array", "object")
    ]
    command = [STEADY, "--host", "127.0.0.1", "-p", str(PORT), *brackets, str(Path(DOCUMENT))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            end = time.monotonic() + 60
            while not _listens() and running.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            yield
        finally:
            running.terminate()


def _listens() -> bool:
    try:
        _send("/responses", b"{}")
    except OSError:
        return False
    return True


def _send(path: str, body: bytes) -> list[str]:
    """Return what is wrong with a request, also what the fake is not sure enough of to refuse it."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    headers = {"content-type": "application/json", "authorization": "Bearer sk-test"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    wrong = int(answer.headers.get("x-steady-error-count") or "0")
    told = answer.headers
    return [f"{told[f'x-steady-error-{n}-path']}: {told[f'x-steady-error-{n}-message']}" for n in range(1, wrong + 1)]


def test_it_refuses_what_is_wrong(fake: None) -> None:
    assert _send("/chat/completions", b'{"model": "m", "messages": [{"role": "user"}]}')


@pytest.mark.parametrize("target", PATHS)
def test_each_feature_is_on_the_specification(fake: None, target: str) -> None:
    for case, caller, name in every():
        if name == target != caller and case.title not in LEFT_OUT:
            found = outcome(case, caller, target)
            if not found.refused:
                assert _send(PATHS[target], found.body) == [], (case.title, caller, found.body)


@pytest.mark.parametrize("target", PATHS)
def test_each_recorded_request_is_on_the_specification(fake: None, target: str) -> None:
    profile, sent = load().find("openai", "gpt-5.2"), 0
    for recording in ASKED:
        if format_of(recording) == target:
            continue
        wire = BOTH_ROLES[format_of(recording)]
        envelope: Envelope = envelope_of(recording)
        request = msgspec.structs.replace(wire.parse_request(envelope), model="gpt-5.2")
        try:
            edited = BOTH_ROLES[target].render_request(request, profile, ask_usage=False)
        except WireError:
            continue
        if b'"input_audio"' in edited.body and target == "openai_responses":
            continue  # see LEFT_OUT
        assert _send(PATHS[target], edited.body) == [], (recording.name, edited.body)
        sent += 1
    assert sent > 700 or not ASKED
