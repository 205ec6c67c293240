"""U11: a provider fails altogether for a while, under a hundred calls a second, and then is well again."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec import Struct
from tests.whole.gateway import Gateway, towards
from tests.whole.processes import until
from tests.whole.upstream import HELLO, Received, Step, Upstream, whole

ERROR = {"error": {"message": "down", "type": "server_error", "param": None, "code": None}}
PER_SECOND = 100
ILL_SECONDS = 10
WELL_SECONDS = 6


class Said(Struct, frozen=True):
    """What a caller got, and when it had asked."""

    at: float
    status: int
    retry_after: str


@pytest.mark.slow
def test_who_fails_altogether_is_not_asked_more_than_callers_ask_and_is_found_well_again(
    tmp_path: Path, upstream: Upstream
) -> None:
    begun = time.monotonic()
    ill = True
    asked: list[float] = []
    noting = threading.Lock()

    def answer(_: Received) -> Sequence[Step]:
        with noting:
            asked.append(time.monotonic() - begun)
        return whole(ERROR, status=500) if ill else whole(HELLO)

    upstream.answer = answer
    config = towards(upstream.url) | {"failover": {}, "embedded": {"enabled": False}, "server": {"workers": 2}}
    with Gateway(tmp_path, config) as gateway, ThreadPoolExecutor(32) as pool:

        def call() -> Said:
            at = time.monotonic() - begun
            got = gateway.chat()
            return Said(at, got.status, got.headers.get("retry-after", ""))

        begun = time.monotonic()
        asked.clear()
        pending: list[Future[Said]] = []
        for number in _paced():
            if number == ILL_SECONDS * PER_SECOND:
                ill = False
            pending.append(pool.submit(call))
        said = [one.result() for one in pending]
        sick = [one for one in said if one.at < ILL_SECONDS]
        assert {one.status for one in sick} <= {502, 503}
        while_sick = [at for at in asked if at < ILL_SECONDS]
        print(f"{len(sick)} calls while it was ill; it was asked {len(while_sick)} times", end="; ")
        assert len(while_sick) <= 1.15 * len(sick)
        opened = min(one.at for one in said if one.status == 503)
        left_alone = [at for at in while_sick if at > 2.5]
        assert opened < 2
        assert len(left_alone) <= 2 * 2 * (ILL_SECONDS - 2), "each worker asks once a while whether it is better"
        assert all(one.retry_after for one in said if one.status == 503)
        healed = max(one.at for one in said if one.status != 200) - ILL_SECONDS
        print(f"refused at once after {opened:.2f} s; the last refusal {healed:.2f} s after it was well again")
        assert healed <= 5
        until(lambda: gateway.holds() == len(gateway.outcomes()) == len(asked))
        assert gateway.audit() == []


def _paced() -> Iterator[int]:
    """Yield a number for each call, when it is its time."""
    begun = time.monotonic()
    for number in range(PER_SECOND * (ILL_SECONDS + WELL_SECONDS)):
        time.sleep(max(0.0, begun + number / PER_SECOND - time.monotonic()))
        yield number
