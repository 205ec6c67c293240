"""What translation costs beside passing through: `python -m bench.translation [--rounds N]`.

Formats alone, in one process, without HTTP and ledger: a request of about a kilobyte with tools and history, its whole
answer, and the events of a stream of words. Rounds alternate over all ways; medians, and the ratio to passing through
in the format of the caller.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

from komeet.canonical.event import Event, Finish, PartEnd, PartStart, Start, TextDelta, UsageEvent
from komeet.canonical.fold import fold
from komeet.canonical.part import Text
from komeet.canonical.request import Request
from komeet.canonical.response import StopReason
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.wire.format import Asked
from komeet.wire.formats import BOTH_ROLES
from komeet.wire.way import Way

WORDS: Final = 200
CALLS: Final = 200
"""Requests in a round."""
_TURN: Final = "What is the weather in Paris, and what should one wear there in the evening? " * 3
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "openai_chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": _TURN},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"city":"Paris"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "sun"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    },
    "openai_responses": {
        "model": "m",
        "store": False,
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": _TURN},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"city":"Paris"}'},
            {"type": "function_call_output", "call_id": "c", "output": "sun"},
        ],
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
        ],
    },
    "anthropic_messages": {
        "model": "m",
        "max_tokens": 1000,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": _TURN},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"city": "Paris"}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "sun"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
    },
}


def _events() -> list[Event]:
    return [
        Start(id="a", model="m", created=1),
        PartStart(candidate=0, index=0, part=Text()),
        *[TextDelta(candidate=0, index=0, text=f" word{number}") for number in range(WORDS)],
        PartEnd(candidate=0, index=0),
        Finish(candidate=0, stop=StopReason.STOP),
        UsageEvent(usage=Usage(input=100, output=WORDS)),
    ]


def answers(target: str) -> tuple[bytes, list[bytes]]:
    """A whole answer of a format, and the pieces of the same as a stream."""
    wire = BOTH_ROLES[target]
    envelope = wire.parse_envelope(json.dumps({**REQUESTS[target], "stream": True}).encode(), {})
    asked = Asked(envelope=envelope, request=Request(model="m", turns=()), id="1", created=1)
    renderer = wire.stream_renderer(asked)
    pieces = [renderer.feed(event) for event in _events()]
    return wire.render_response(fold(_events()), asked), [piece for piece in [*pieces, renderer.end()] if piece]


def _way(caller: str, target: str, body: bytes) -> Way:
    wire = BOTH_ROLES[caller]
    return Way(wire, BOTH_ROLES[target], wire.parse_envelope(body, {}), id="1", created=1)


def request_work(caller: str, target: str) -> Callable[[], int]:
    """Return what handles CALLS requests and their whole answers, and says how many that were."""
    body = json.dumps(REQUESTS[caller]).encode()
    answer, _ = answers(target)
    profile = Profile()

    def work() -> int:
        for _ in range(CALLS):
            way = _way(caller, target, body)
            way.request(model="m", profile=profile, output_limit=None, ask_usage=False)
            whole = way.whole(answer, streamed=False)
            assert not isinstance(whole, Exception)
            whole.render(whole.usage)
        return CALLS

    return work


def event_work(caller: str, target: str) -> Callable[[], int]:
    """Return what handles the events of one stream, and says how many they were."""
    way = _way(caller, target, json.dumps({**REQUESTS[caller], "stream": True}).encode())
    _, pieces = answers(target)

    def work() -> int:
        for _ in range(10):
            tap = way.tap()
            for piece in pieces:
                tap.feed(piece)
            _, complete = tap.end()
            assert complete
        return 10 * WORDS

    return work


def measure(works: dict[tuple[str, str], Callable[[], int]], rounds: int) -> dict[tuple[str, str], float]:
    """Return microseconds per unit of each, as the median of alternating rounds."""
    times: dict[tuple[str, str], list[float]] = {pair: [] for pair in works}
    for _ in range(rounds):
        for pair, work in works.items():
            start = time.process_time()
            units = work()
            times[pair].append((time.process_time() - start) / units * 1e6)
    return {pair: median(taken) for pair, taken in times.items()}


def main() -> None:
    """Measure, and print one row a pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    pairs = [(caller, target) for caller in BOTH_ROLES for target in BOTH_ROLES]
    calls = measure({pair: request_work(*pair) for pair in pairs}, rounds)
    events = measure({pair: event_work(*pair) for pair in pairs}, rounds)
    print("| caller → provider | call, µs | ratio | event, µs | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for caller, target in pairs:
        call, event = calls[caller, target], events[caller, target]
        print(
            f"| {caller} → {target} | {call:.1f} | {call / calls[caller, caller]:.1f} |"
            f" {event:.2f} | {event / events[caller, caller]:.1f} |"
        )


if __name__ == "__main__":
    main()
