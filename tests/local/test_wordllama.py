"""The embedded embeddings: the vectors of WordLlama's own library, in a process that ends with its parent."""

import asyncio
import importlib
import json
import math
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.local.endpoint import KEY, Endpoint, ready

from komeet.core.clock import SystemClock
from komeet.core.errors import UpstreamBusy
from komeet.local import wordllama
from komeet.local.embedded import EmbeddedModels
from komeet.local.handover import EmbeddingOrders
from komeet.local.supervisor import State
from komeet.local.vectors import SIZES, Vectors
from komeet.local.wordllama import MODEL, EmbeddedEmbeddings, find
from komeet.net.tasks import Tasks

TEXTS = ["hello world", "Größe 東京 🙂", "a", " ", "the quick brown fox " * 3000, "\n\n", "<unk></s>"]


def _orders() -> EmbeddingOrders:
    folder = find()
    assert folder is not None, "wordllama is not installed: uv sync"
    return EmbeddingOrders(
        key=KEY, weights=str(folder / wordllama.WEIGHTS), tokenizer=str(folder / wordllama.TOKENIZER), model=MODEL
    )


@pytest.fixture(scope="module")
def process() -> Generator[subprocess.Popen[bytes]]:
    arguments = [sys.executable, "-P", "-m", "komeet.local.wordllama_child"]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe) as running:
        assert running.stdin is not None
        running.stdin.write(msgspec.json.encode(_orders()) + b"\n")
        running.stdin.flush()
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture(scope="module")
def model(process: subprocess.Popen[bytes]) -> Endpoint:
    return ready(process)


def _ask(endpoint: Endpoint, **body: Any) -> tuple[int, Any]:
    status, answer = endpoint.request("POST", "/v1/embeddings", json.dumps({"model": MODEL, **body}).encode())
    return status, json.loads(answer)


@pytest.mark.parametrize("size", SIZES)
def test_vectors_and_counts_are_those_of_its_own_library(model: Endpoint, size: int) -> None:
    library: Any = importlib.import_module("wordllama")  # it loads what nothing else here needs
    theirs = library.WordLlama.load(cache_dir=find(), disable_download=True, trunc_dim=size)
    status, answer = _ask(model, input=TEXTS, dimensions=size)
    assert status == 200
    expected = theirs.embed(TEXTS, norm=True).tolist()
    assert [each["embedding"] for each in answer["data"]] == [pytest.approx(row, abs=1e-4) for row in expected]
    tokens = sum(sum(each.attention_mask) for text in TEXTS for each in theirs.tokenize(text))
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_a_text_without_a_token_has_a_vector_of_zeros() -> None:
    orders = _orders()
    rows, tokens = Vectors(Path(orders.weights), Path(orders.tokenizer)).of(["", "a"])
    assert (float(abs(rows[0]).sum()), tokens) == (0.0, 1)
    assert math.isclose(float((rows[1] ** 2).sum()), 1, abs_tol=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"dimensions": 100}, 400, "dimensions"),
        ({"dimensions": 512}, 400, "dimensions"),
        ({"input": []}, 400, "input"),
        ({"input": ["a"] * 2049}, 400, "input"),
        ({"input": [1]}, 400, None),
        ({"model": "other"}, 404, "model"),
    ],
)
def test_what_it_does_not_take_is_refused_in_openais_shape(
    model: Endpoint, body: dict[str, Any], status: int, param: str | None
) -> None:
    found, answer = _ask(model, **({"input": "a"} | body))
    assert (found, answer["error"]["param"]) == (status, param)


def test_nobody_else_may_ask(model: Endpoint) -> None:
    assert model.request("POST", "/v1/embeddings", b"{}", key="other")[0] == 401
    assert model.request("POST", "/v1/chat/completions", b"{}")[0] == 400


def test_it_ends_when_its_input_closes(process: subprocess.Popen[bytes], model: Endpoint) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0


def test_a_start_without_orders_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "komeet.local.wordllama_child"], input=b"x\n", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"komeet serve" in done.stderr


async def _asked(embedded: EmbeddedModels) -> tuple[int, bytes]:
    origin, key = await embedded.origin(MODEL)
    body = json.dumps({"model": MODEL, "input": "a"}).encode()
    return await asyncio.to_thread(Endpoint(origin, key.reveal()).request, "POST", "/v1/embeddings", body)


def test_it_is_started_when_it_is_first_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        tasks = Tasks()
        embedded = EmbeddedModels(tmp_path, clock=SystemClock(), tasks=tasks)
        assert (await _asked(embedded))[0] == 200
        assert embedded.chat.state is State.IDLE
        await embedded.close()
        await tasks.drain(5)

    asyncio.run(main())


def test_a_package_that_is_not_there_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordllama, "PACKAGE", "there_is_no_such_package")

    async def main() -> None:
        embedded = EmbeddedEmbeddings(clock=SystemClock(), tasks=Tasks())
        with pytest.raises(UpstreamBusy, match=r"pip install 'komeet\[local\]'"):
            await embedded.origin()
        assert embedded.state is State.UNAVAILABLE

    asyncio.run(main())
