"""Pictures and sound in the pipeline: what is held, what breaks off, and what is counted then."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.pipeline.fakes import CREDENTIAL, PRICE, SECRET, Exchange, FakeBook, FakeReply, Interruption, World, key

from komeet.catalog.price import ModelPrice
from komeet.catalog.profile import CHARACTERS, Profile
from komeet.catalog.profiles import Profiles
from komeet.core.errors import CutMidStream, KomeetError
from komeet.core.http import HttpRequest
from komeet.core.money import Nano
from komeet.core.secrets import Secret
from komeet.ledger.port import State
from komeet.pipeline.call import Call
from komeet.pipeline.ports import Policy
from komeet.providers.provider import Provider, make
from komeet.routing.directory import Directory
from komeet.routing.route import Router
from komeet.wire.formats import FORMATS
from komeet.wire.media.format import MediaFormat
from komeet.wire.media.images import GENERATIONS
from komeet.wire.media.speech import SPEECH

OUTPUT = PRICE.steps[0].rates.output // 10**6
SOUND = {b"content-type": b"audio/mpeg"}
CUT = CutMidStream("It broke off.")


def world_of(*exchanges: Exchange, price: ModelPrice = PRICE, **more: Any) -> World:
    """A world whose providers speak of pictures and sound."""
    world = World(exchanges=exchanges, **more)
    names = ("maker", *world.others)
    formats = ("openai_images", "openai_speech")
    providers = [
        make(
            name=name,
            base_url=f"https://{name}.example/v1",
            credential=Secret(CREDENTIAL),
            formats=formats,
            price_id="maker",
        )
        for name in names
    ]
    profiles = Profiles([("maker", ["*"], world.profile)])
    directory = Directory[Provider](tuple(providers), FakeBook({"m": price}), profiles, world.clock)
    world.ports = replace(
        world.ports, formats=FORMATS, directory=directory, router=Router(directory, world.routes, world.health)
    )
    return world


def ask(world: World, wire: MediaFormat, interruption: Interruption | None = None, **asked: Any) -> FakeReply:
    world.reply = FakeReply()
    request = HttpRequest(
        method="POST",
        path="/v1" + wire.place,
        headers={b"authorization": b"Bearer " + SECRET.encode()},
        body=json.dumps({"model": "m"} | asked).encode(),
        arrived=world.clock.monotonic(),
    )
    call = Call(request, world.reply, wire, request.path, world.clock)
    return world.finish(call) if interruption is None else world.finish(call, interruption)


def speech(*pieces: bytes, broken: KomeetError | None = None) -> Exchange:
    return Exchange(headers=SOUND, pieces=list(pieces), broken=broken)


def test_sound_is_forwarded_piece_by_piece_and_counted_afterwards() -> None:
    world = world_of(speech(b"\x00a", b"b"))
    reply = ask(world, SPEECH, input="hello")
    assert (reply.status, reply.body, reply.aborted) == (200, b"\x00ab", False)
    assert reply.headers[b"content-type"] == b"audio/mpeg"
    outcome = world.ledger.outcome()
    assert (outcome.state, outcome.estimated) == (State.SETTLED, True)
    assert outcome.usage.output_audio > 0


def test_sound_that_breaks_off_is_cut_and_paid_for() -> None:
    """No words can be said in sound: an orderly end would make it look whole."""
    world = world_of(speech(b"\x00a", broken=CUT))
    reply = ask(world, SPEECH, input="hello")
    assert (reply.body, reply.aborted) == (b"\x00a", True)
    outcome = world.ledger.outcome()
    assert (outcome.state, outcome.estimated, outcome.reason) == (State.SETTLED, True, "upstream_cut")
    assert world.records[0].error == "upstream_cut"


def test_what_breaks_off_before_any_sound_is_told_as_an_error() -> None:
    world = world_of(speech(broken=CUT))
    reply = ask(world, SPEECH, input="hello")
    assert (reply.status, reply.aborted) == (502, False)
    assert json.loads(reply.body)["error"]["code"] == "upstream_cut"


def test_characters_are_counted_where_they_are_billed() -> None:
    world = world_of(speech(b"\x00"), price=replace(PRICE, characters=True))
    ask(world, SPEECH, input="hello")
    assert world.estimator.encoding == CHARACTERS
    assert world.ledger.outcome().usage.output_audio == 0


PICTURE = Exchange(pieces=[b'{"data": [], "usage": {"input_tokens": 3, "output_tokens": 100}}'])


@pytest.mark.parametrize(
    ("profile", "policy", "most"),
    [(Profile(image_output=1000), Policy(), 1000), (Profile(), Policy(budget_image_tokens=500), 500)],
)
def test_pictures_are_held_at_their_largest(profile: Profile, policy: Policy, most: int) -> None:
    world = world_of(PICTURE, key=key(budget=Nano(10**12)), profile=profile, policy=policy)
    assert ask(world, GENERATIONS, prompt="a cat", n=3).status == 200
    assert 3 * most * OUTPUT < world.ledger.holds[0].amount < 3 * most * OUTPUT + 10**8
    assert "max_tokens" not in json.loads(world.fetcher.sendings[0].outgoing.body)


def test_a_budget_admits_no_picture_of_unknown_size() -> None:
    world = world_of(PICTURE, key=key(budget=Nano(10**12)))
    assert ask(world, GENERATIONS, prompt="a cat").status == 403
    assert not world.fetcher.sendings
    assert not world.ledger.holds


def test_a_picture_that_does_not_fit_is_not_made_smaller() -> None:
    world = world_of(PICTURE, key=key(budget=Nano(10)), room=10, profile=Profile(image_output=1000))
    assert ask(world, GENERATIONS, prompt="a cat").status == 402
    assert not world.fetcher.sendings


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize(
    ("wire", "exchange", "asked"),
    [(SPEECH, speech(b"\x00a", b"b"), {"input": "hello"}), (GENERATIONS, PICTURE, {"prompt": "a cat"})],
)
def test_wherever_the_caller_leaves_each_hold_has_one_outcome(
    wire: MediaFormat, exchange: Exchange, asked: dict[str, Any], at: int
) -> None:
    world = world_of(exchange)
    ask(world, wire, Interruption(at, asyncio.CancelledError), **asked)
    held = [hold.attempt_id for hold in world.ledger.holds]
    assert [outcome.attempt_id for outcome in world.ledger.outcomes] == held
