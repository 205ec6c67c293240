"""A worker's process: `python -m komeet.serving.worker`, started by the supervisor with two sockets.

It takes its `Orders`, opens its part of the data directory, and serves on the socket that all workers share until it is
told to retire, or SIGTERM comes, or its supervisor ends.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from komeet import app
from komeet.config.load import ConfigError, parse
from komeet.config.providers import find
from komeet.config.schema import Config
from komeet.net.tasks import Tasks
from komeet.serving.lifeline import tie
from komeet.serving.line import Line
from komeet.serving.messages import Failed, Orders, Ready, packed, read_first, to_worker
from komeet.serving.server import new_server
from komeet.serving.team import Team
from komeet.store.errors import StoreError
from komeet.telemetry.logs import configure


def main() -> None:
    """Serve; return once everything is settled."""
    listener, end, parent = (int(argument) for argument in sys.argv[1:])
    tie(parent)
    line = socket.socket(fileno=end)
    orders = read_first(line, Orders)
    if orders is None:
        return
    try:
        config = parse(orders.config, os.environ)
        configure(config.log.level, config.log.format)
        providers = find(config, os.environ).providers
        team = Team(orders.session)
        gateway = app.Gateway(config, Path(orders.data_dir), providers, team)
    except (StoreError, ConfigError) as error:
        line.sendall(packed(Failed(message=str(error))))
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(gateway, config, team, socket.socket(fileno=listener), line))


async def _serve(gateway: app.Gateway, config: Config, team: Team, listener: socket.socket, end: socket.socket) -> None:
    tasks = Tasks()
    line = Line(to_worker, team.heard, team.gone)

    def ready() -> None:
        # What was made at the start stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        listing = gateway.directory.listing()
        line.send(Ready(example=listing[0].id if listing else None))

    server = new_server(gateway, config.server.drain_seconds, ready)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.leave)
    loop.add_signal_handler(signal.SIGINT, server.leave_now)
    team.join(
        line, tasks, gateway.metrics.counted, lambda seconds: tasks.spawn("serving.retire", server.retire(seconds))
    )
    await line.open(end)
    await server.serve(sockets=[listener])
    await tasks.drain(1.0)
    await team.measure()
    await line.close()


if __name__ == "__main__":
    main()
