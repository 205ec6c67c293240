"""What translation costs in a running Komeet: `python -m bench.translation_served [--rounds N]`.

One gateway with its defaults, with a provider of each format; calls one after another on one connection, whole and
streamed, in rounds that alternate over the pairs. CPU of the gateway's process per call, and per event of a stream;
medians, and the ratio to passing through in the format of the caller.
"""

import argparse
import http.client
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from tests.whole.gateway import Gateway
from tests.whole.upstream import LAST, STREAM, Received, Step, Upstream, chunk, whole

from bench.translation import REQUESTS, WORDS, answers

PATHS: Final = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
}
PAIRS: Final = tuple((caller, target) for caller in PATHS for target in PATHS)
CALLS: Final = {False: 400, True: 40}
"""Calls in a round: whole, streamed."""
SETTLE_SECONDS: Final = 0.3


def _answer(request: Received) -> list[Step]:
    target = next(name for name, path in PATHS.items() if path == request.target)
    body, pieces = answers(target)
    return [STREAM, *(chunk(piece) for piece in pieces), LAST] if request.json.get("stream") else whole(body)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(gateway: Gateway, pair: tuple[str, str], *, stream: bool) -> float:
    """Return microseconds of CPU per call, or per event of a stream."""
    caller, target = pair
    body = json.dumps({**REQUESTS[caller], "model": f"{target.replace('_', '-')}/m", "stream": stream}).encode()
    headers = {"Authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    before = _cpu_seconds(gateway.process.pid)
    for _ in range(CALLS[stream]):
        connection.request("POST", PATHS[caller], body, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said
    connection.close()
    time.sleep(SETTLE_SECONDS)
    spent = _cpu_seconds(gateway.process.pid) - before
    return spent / CALLS[stream] / (WORDS if stream else 1) * 1e6


def main() -> None:
    """Measure, and print one row a pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with Upstream(answer=_answer) as upstream, tempfile.TemporaryDirectory() as folder:
        providers = [{"name": n.replace("_", "-"), "base_url": upstream.url, "formats": [n]} for n in PATHS]
        with Gateway(Path(folder), config={"providers": providers}) as gateway:
            print("| caller → provider | whole call, ratio | event, ratio |\n| --- | --- | --- |")
            found: dict[tuple[bool, tuple[str, str]], list[float]] = {}
            for stream in (False, True):
                for _ in range(rounds + 1):  # the first one warms up
                    for pair in PAIRS:
                        found.setdefault((stream, pair), []).append(measure(gateway, pair, stream=stream))
            for pair in PAIRS:
                cells: list[str] = []
                for stream in (False, True):
                    own, base = found[stream, pair][1:], found[stream, (pair[0], pair[0])][1:]
                    ratio = median(a / b for a, b in zip(own, base, strict=True))
                    cells.append(f"{median(own):.0f} µs, {ratio:.2f}")
                print(f"| {pair[0]} → {pair[1]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
