"""Several gateways on one ledger: one with many workers on SQLite, or nodes with a few each on PostgreSQL."""

import asyncio
import contextlib
import json
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.whole.gateway import Gateway
from tests.whole.mixed import config
from tests.whole.processes import serving
from tests.whole.upstream import Upstream


class Layout(NamedTuple):
    """How many nodes there are, how many workers each has, and whether they share a PostgreSQL."""

    nodes: int
    workers: int
    shared: bool


@contextlib.contextmanager
def fleet(folder: Path, upstream: Upstream, layout: Layout, address: str = "", **more: Any) -> Generator[list[Gateway]]:
    """Run the nodes; each has all its workers when the block begins. `address` is of a PostgreSQL database."""
    ledger = {"ledger": {"database": address}} if address else {}
    with contextlib.ExitStack() as stack:
        server = {"workers": layout.workers, "drain_seconds": 5}
        settings = config(upstream, server=server, **ledger, **more)
        nodes = [Gateway(folder / f"node-{number}", settings) for number in range(layout.nodes)]
        for gateway in nodes[1:]:
            gateway.key = "the first one's"  # none is made: they share
        with ThreadPoolExecutor() as pool:
            starting = [pool.submit(gateway.start) for gateway in nodes]
        for started in starting:
            if started.exception() is None:
                stack.push(started.result())
        for started in starting:
            started.result().key = nodes[0].key
        for gateway in nodes:
            serving(gateway, layout.workers)
        yield nodes


def call_at_once(nodes: Sequence[Gateway], key: str, model: str, count: int) -> list[int]:
    """Make calls at the same moment, spread over the nodes, each on a connection of its own; return the statuses."""
    return asyncio.run(_call_at_once([node.port for node in nodes], key, model, count))


async def _call_at_once(ports: Sequence[int], key: str, model: str, count: int) -> list[int]:
    go = asyncio.Event()
    connected = asyncio.Semaphore(0)
    body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 10}
    ).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body

    async def call(port: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        connected.release()
        await go.wait()
        try:
            writer.write(request)
            said = await reader.read()
        finally:
            writer.close()
        return int(said.split(b" ", 2)[1])

    tasks = [asyncio.create_task(call(ports[number % len(ports)])) for number in range(count)]
    for _ in tasks:
        await connected.acquire()
    go.set()
    return await asyncio.gather(*tasks)
