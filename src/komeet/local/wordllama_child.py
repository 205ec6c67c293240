"""The process of the embedded embeddings: `python -m komeet.local.wordllama_child`, started by the supervisor.

As the other one (`komeet.local.child`) it reads its orders from its standard input, serves `POST /v1/embeddings` on
127.0.0.1, writes `Ready`, and ends when its standard input closes.
"""

import os
import signal
import socket
import sys
import threading
from base64 import b64encode
from contextlib import suppress
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal, NoReturn

import msgspec
from msgspec import Struct

from komeet.local.handover import EmbeddingOrders, Ready
from komeet.local.vectors import SIZES, Numbers, Vectors

_NICENESS = 5
_MOST_INPUTS = 2048


class Asked(Struct, frozen=True, kw_only=True):
    """The body of a call."""

    input: str | list[str]
    model: str = ""
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class Refused(Exception):
    """The call is at fault."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


_asked: Final = msgspec.json.Decoder(Asked)


def answer(body: bytes, vectors: Vectors, model: str) -> bytes:
    """Return the answer to a call; raises Refused."""
    try:
        asked = _asked.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(
            400, f"The embedded model takes a text or an array of texts, not ids of tokens: {error}"
        ) from None
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not 1 <= len(texts) <= _MOST_INPUTS:
        raise Refused(400, f"'input' has from 1 to {_MOST_INPUTS} texts.", "input")
    size = asked.dimensions or SIZES[0]
    if size not in SIZES:
        raise Refused(400, f"'dimensions' is one of {', '.join(map(str, SIZES))}.", "dimensions")
    if asked.model != model:
        raise Refused(404, f"The embedded model for embeddings is `local/{model}`.", "model")
    rows, tokens = vectors.of(texts, size)
    written = _packed if asked.encoding_format == "base64" else _listed
    data = [{"object": "embedding", "index": place, "embedding": written(row)} for place, row in enumerate(rows)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


def _packed(row: Numbers) -> str:
    return b64encode(row.astype("<f4").tobytes()).decode("ascii")


def _listed(row: Numbers) -> list[float]:
    return row.tolist()


def server(orders: EmbeddingOrders) -> ThreadingHTTPServer:
    """Load the model and return its server, which listens already, on a port that the system picks."""
    vectors = Vectors(Path(orders.weights), Path(orders.tokenizer))
    vectors.of([orders.model])
    expected = f"Bearer {orders.key}".encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                self._check()
                self._send(200, answer(body, vectors, orders.model))
            except Refused as refused:
                told = {"message": str(refused), "type": "invalid_request_error", "param": refused.param, "code": None}
                self._send(refused.status, msgspec.json.encode({"error": told}))

        def _check(self) -> None:
            if not compare_digest((self.headers.get("authorization") or "").encode(), expected):
                raise Refused(401, "Another key is needed.")
            if self.path != "/v1/embeddings":
                raise Refused(400, f"The embedded model `{orders.model}` makes embeddings: POST /v1/embeddings.")

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing: it may quote prompts."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = socket.SOMAXCONN

    return Server(("127.0.0.1", 0), Handler)


def main() -> NoReturn:
    """Serve until standard input closes, then end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's: calls in flight are finished first
    os.nice(_NICENESS)
    try:
        orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=EmbeddingOrders)
    except msgspec.DecodeError:
        _end(2, "this process is started by `komeet serve`, and takes its orders on standard input")
    try:
        serving = server(orders)
    except Exception as error:  # noqa: BLE001 - what the libraries raise is theirs; the supervisor passes it on
        _end(1, str(error))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    with suppress(BrokenPipeError):  # the supervisor has gone, as the next line finds too
        os.write(1, msgspec.json.encode(Ready(serving.server_address[1])) + b"\n")
    while os.read(0, 4096):
        pass
    os._exit(0)


def _end(status: int, why: str) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
