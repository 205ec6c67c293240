"""The embedded model's process: `python -m komeet.local.child`, started by the supervisor.

It reads `Orders` from its standard input, loads the model, serves it on 127.0.0.1 and writes `Ready` to its standard
output. It ends when its standard input closes, which happens however its parent ends, and at SIGTERM.
"""

import importlib
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn, Protocol, cast
from urllib.parse import urlsplit

import msgspec

from komeet.local.handover import Orders, Ready
from komeet.local.weights import ENGINE

_ERRORS_ONLY = 1
_NICENESS = 5
"""The gateway goes first: an echo server beside it answers 99 in 100 within 0.3 ms, without this within 1 ms."""


class _Threads(Protocol):
    n_threads: int


class _Model(Protocol):
    path: str


class _Params(Protocol):
    """The part of llama.cpp's `common_params` that is set here; the rest keeps its defaults."""

    hostnames: list[str]
    port: int
    api_keys: list[str]
    model_alias: set[str]
    n_ctx: int
    n_parallel: int
    n_predict: int
    kv_unified: bool
    cache_prompt: bool
    cache_ram_mib: int
    ui: bool
    endpoint_slots: bool
    cors_origins: str
    cors_credentials: bool
    use_jinja: bool
    verbosity: int

    @property
    def model(self) -> _Model: ...
    @property
    def cpuparams(self) -> _Threads: ...
    @property
    def cpuparams_batch(self) -> _Threads: ...


class _Server(Protocol):
    @property
    def listening_address(self) -> str: ...


class _Engine(Protocol):
    """The engine's module: compiled, and without type stubs."""

    def CommonParams(self) -> _Params: ...  # noqa: N802 - its name there
    def Server(self, params: _Params) -> _Server: ...  # noqa: N802 - its name there


def serve(orders: Orders) -> tuple[_Server, int]:
    """Load the model and answer on a port that the system picks; return the server, to be kept, and the port.

    Raises RuntimeError where the engine cannot load the model; it has said why on standard error.
    """
    engine = cast("_Engine", importlib.import_module(ENGINE))
    params = engine.CommonParams()
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [orders.key]
    params.model.path = orders.weights
    params.model_alias = {orders.model}
    # Each slot has a context of its own. A shared one (`kv_unified`) fails every call in flight once it is full.
    params.kv_unified = False
    params.n_parallel = orders.slots
    params.n_ctx = orders.slots * orders.context
    params.n_predict = orders.context  # for calls that name no limit
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = orders.threads
    # No call sees whether an earlier one, maybe of somebody else, began alike; and the same call gets the same answer.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.use_jinja = True
    params.ui = params.endpoint_slots = params.cors_credentials = False
    params.cors_origins = ""
    params.verbosity = _ERRORS_ONLY
    server = engine.Server(params)
    port = urlsplit(server.listening_address).port
    if port is None:
        raise RuntimeError(f"it listens at {server.listening_address}, which names no port")
    return server, port


def main() -> NoReturn:
    """Serve until standard input closes, then end the process.

    Every way out is `os._exit`: the destructor of the engine's server waits for threads that do not always end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's: calls in flight are finished first
    os.nice(_NICENESS)
    try:
        orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    except msgspec.DecodeError:
        _end(2, "this process is started by `komeet serve`, and takes its orders on standard input")
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever the engine prints is no answer
    try:
        _server, port = serve(orders)
    except (ImportError, RuntimeError) as error:
        _end(1, str(error))
    with suppress(BrokenPipeError):  # the supervisor has gone, as the next line finds too
        os.write(answer, msgspec.json.encode(Ready(port)) + b"\n")
    while os.read(0, 4096):
        pass
    os._exit(0)


def _end(status: int, why: str) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
