"""Tokens that no provider reports are counted here; whatever becomes of the counting, there is an outcome."""

import asyncio
import json

import pytest
from tests.pipeline.fakes import STREAM, Exchange, FakeEstimator, Interruption, World

from komeet.canonical.usage import Usage
from komeet.ledger.port import State

WHOLE = Exchange(pieces=(json.dumps({"choices": [{"message": {"content": "Hello"}}]}).encode(),))
STREAMED = Exchange(
    headers=STREAM, pieces=(b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n', b"data: [DONE]\n\n")
)


def interrupted(world: World, error: type[BaseException], *, stream: bool) -> World:
    """Make a call whose counting is interrupted."""
    undisturbed = World(exchanges=world.exchanges)
    undisturbed.answer(stream=stream)
    world.answer(Interruption(undisturbed.points.index("estimate"), error), stream=stream)
    return world


def test_a_caller_that_leaves_while_its_whole_answer_is_counted_pays_for_it() -> None:
    world = interrupted(World(exchanges=[WHOLE]), asyncio.CancelledError, stream=False)
    outcome = world.ledger.outcome()
    assert (outcome.state, outcome.estimated, outcome.usage.output) == (State.SETTLED, True, 5)
    assert [record.status for record in world.records] == [499]


@pytest.mark.parametrize("error", [asyncio.CancelledError, RuntimeError])
def test_what_was_not_counted_is_an_orphan_and_recorded(error: type[BaseException]) -> None:
    world = interrupted(World(exchanges=[STREAMED]), error, stream=True)
    assert len(world.faults) == (error is RuntimeError)
    outcome = world.ledger.outcome()
    assert (outcome.state, outcome.cost, outcome.reason) == (State.ORPHAN, 0, "not_counted")
    assert [(record.status, record.cost) for record in world.records] == [(200, 0)]


class SlowEstimator(FakeEstimator):
    """Takes half a second."""

    world: World

    async def estimate(self, prompt: str, output: str, encoding: str, *, messages: int = 1) -> Usage:
        self.world.clock.advance(0.5)
        return await super().estimate(prompt, output, encoding, messages=messages)


def test_counting_after_a_stream_is_no_part_of_its_latency() -> None:
    estimator = SlowEstimator()
    world = estimator.world = World(exchanges=[STREAMED], estimator=estimator)
    world.answer(stream=True)
    assert world.ledger.outcome().latency_us == world.records[0].latency_us == 0


def test_a_fault_of_ours_is_not_called_a_caller_that_left(caplog: pytest.LogCaptureFixture) -> None:
    world = World(exchanges=[WHOLE])
    world.answer(Interruption(2, RuntimeError))
    assert "call req_" in caplog.text
    assert world.ledger.outcome().reason == "internal_error"
    assert world.reply.status == 500
