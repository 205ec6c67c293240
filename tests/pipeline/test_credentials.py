"""Which of a provider's keys a call shows, and what becomes of one that is refused."""

from collections import Counter
from collections.abc import Sequence

from tests.pipeline.fakes import STREAM, Exchange, World
from tests.pipeline.test_failover import CUT, WELL, refused, states

from komeet.core.errors import ConnectFailed
from komeet.core.secrets import Secret
from komeet.ledger.port import State
from komeet.pipeline.credentials import Credentials
from komeet.providers.credential import Credential, FromFile
from komeet.routing.health import HealthBook
from komeet.routing.retry import RetryPolicy

TWO = (
    Credential(name="a", weight=3, secret=Secret("sk-canary-a")),
    Credential(name="b", secret=Secret("sk-canary-b")),
)
FILED = (Credential(source=FromFile(path="/key")),)


class Ring:
    """Gives one key after another, as they are had anew."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)

    async def current(self, provider: str, credential: Credential) -> Credential:
        if not self.keys:
            raise ConnectFailed(f"The key for {provider} could not be had.")
        return credential.with_secret(Secret(self.keys[0]))

    def forget(self, provider: str, credential: Credential) -> bool:
        if len(self.keys) < 2:
            return False
        del self.keys[0]
        return True


def world(
    *exchanges: Exchange,
    credentials: tuple[Credential, ...] = TWO,
    ring: Ring | None = None,
    retry: RetryPolicy | None = None,
    others: Sequence[str] = (),
) -> World:
    health = HealthBook()
    return World(
        exchanges=exchanges,
        credentials=credentials,
        turns=Credentials(ring, health),
        health=health,
        retry=retry or RetryPolicy(),
        others=tuple(others),
    )


def shown(world: World) -> list[str]:
    headers = [dict(sending.outgoing.headers) for sending in world.fetcher.sendings]
    return [one[b"authorization"].decode().removeprefix("Bearer sk-canary-") for one in headers]


def test_they_take_turns_by_weight() -> None:
    one = world(WELL)
    for _ in range(40):
        assert one.answer().status == 200
    assert Counter(shown(one)) == {"a": 30, "b": 10}
    assert "".join(shown(one)) == "aaba" * 10


def test_a_key_that_is_refused_is_set_aside_and_the_call_answered_with_another() -> None:
    one = world(refused(401), WELL)
    assert one.answer().status == 200
    assert shown(one) == ["a", "b"]
    assert states(one) == [State.VOIDED, State.SETTLED]
    assert one.slept == []
    assert one.records[0].attempts == 2
    for _ in range(4):
        assert one.answer().status == 200
    assert shown(one)[2:] == ["b"] * 4
    one.clock.advance(11)
    for _ in range(4):
        assert one.answer().status == 200
    assert "a" in shown(one)[6:]


def test_a_key_whose_limit_is_reached_is_set_aside_for_as_long_as_it_says() -> None:
    one = world(refused(429, retry_after="30"), WELL)
    assert one.answer().status == 200
    one.clock.advance(29)
    assert one.answer().status == 200
    assert shown(one) == ["a", "b", "b"]
    one.clock.advance(2)
    for _ in range(4):
        one.answer()
    assert "a" in shown(one)[3:]


def test_where_all_are_refused_the_caller_is_told_and_each_was_asked_once() -> None:
    one = world(refused(429, retry_after="30"), refused(429, retry_after="20"))
    reply = one.answer()
    assert (reply.status, reply.headers[b"retry-after"]) == (429, b"20")
    assert shown(one) == ["a", "b"]
    assert set(states(one)) == {State.VOIDED}
    assert one.answer().status == 429
    assert shown(one)[2] == "b", "whose limit ends first"


def test_no_more_keys_are_tried_than_attempts_are_allowed() -> None:
    five = tuple(Credential(name=name, secret=Secret(f"sk-canary-{name}")) for name in "abcde")
    one = world(refused(401), credentials=five)
    assert one.answer().status == 502
    assert shown(one) == ["a", "b", "c"]
    once = world(refused(401), credentials=five, retry=RetryPolicy(attempts=1))
    assert once.answer().status == 502
    assert shown(once) == ["a"]


def test_another_key_does_not_help_who_is_broken() -> None:
    one = world(CUT, WELL)
    assert one.answer().status == 502
    assert shown(one) == ["a"]


def test_a_stream_that_ends_with_a_limit_sets_the_key_aside_but_is_not_asked_again() -> None:
    text = b'data: {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n\n'
    limited = b'data: {"error": {"message": "slow down", "code": 429, "type": "rate_limit_error"}}\n\n'
    one = world(Exchange(headers=STREAM, pieces=(text, limited)), WELL)
    one.answer(stream=True)
    assert shown(one) == ["a"]
    one.answer()
    assert shown(one) == ["a", "b"]


def test_a_refused_key_that_may_change_is_had_anew_and_shown_at_once() -> None:
    one = world(refused(401), WELL, credentials=FILED, ring=Ring("sk-canary-old", "sk-canary-new"))
    assert one.answer().status == 200
    assert shown(one) == ["old", "new"]
    same = world(refused(401), WELL, credentials=FILED, ring=Ring("sk-canary-old"))
    assert same.answer().status == 502
    assert shown(same) == ["old"]


def test_without_a_key_nothing_is_sent_and_nothing_is_held() -> None:
    one = world(WELL, credentials=FILED, ring=Ring(), retry=RetryPolicy(attempts=1))
    assert one.answer().status in {502, 503}
    assert one.fetcher.sendings == []
    assert states(one) == [State.VOIDED]


def test_what_a_provider_repeats_of_a_key_is_not_told() -> None:
    one = world(refused(400, "sk-canary-had is wrong"), credentials=FILED, ring=Ring("sk-canary-had"))
    assert one.answer().status == 400
    assert b"canary" not in one.reply.body
    assert b"*** is wrong" in one.reply.body
