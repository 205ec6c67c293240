"""From events to the answer that they tell."""

import pytest
from msgspec import Raw

from komeet.canonical.event import (
    ArgumentsDelta,
    AudioDelta,
    Event,
    ExtraDelta,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    SealDelta,
    Start,
    TextDelta,
    UsageEvent,
)
from komeet.canonical.fold import fold
from komeet.canonical.part import Audio, Image, Inline, Part, Reasoning, Refusal, Seal, Text, ToolCall, Url
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.usage import Usage
from komeet.core.errors import CutMidStream, Garbled


def _part(part: Part, *deltas: Event) -> Part:
    events = [Start(), PartStart(candidate=0, index=0, part=part), *deltas, PartEnd(candidate=0, index=0)]
    return fold(events).candidates[0].parts[0]


def _text(text: str) -> TextDelta:
    return TextDelta(candidate=0, index=0, text=text)


def _seal(value: bytes) -> Seal:
    return Seal(origin="o", name="signature", value=Raw(value))


def test_nothing_is_an_empty_answer() -> None:
    assert fold([]) == Response()


def test_what_began_whole_stays_whole() -> None:
    for part in (Text(text="a"), Image(source=Url("u")), ToolCall(id="1", name="f", arguments=b"{}")):
        assert _part(part) == part


def test_parts_grow_by_their_deltas() -> None:
    assert _part(Text(text="a"), _text("b"), _text("c")) == Text(text="abc")
    assert _part(Refusal(), _text("no")) == Refusal(text="no")
    pieces = [ArgumentsDelta(candidate=0, index=0, data=data) for data in (b'{"a"', b":1}")]
    assert _part(ToolCall(id="1", name="f"), *pieces) == ToolCall(id="1", name="f", arguments=b'{"a":1}')


def test_a_seal_is_the_last_one_or_its_arrays_joined() -> None:
    deltas = [SealDelta(candidate=0, index=0, seal=_seal(value)) for value in (b'"x"', b'"y"')]
    assert _part(Reasoning(), _text("hm"), *deltas) == Reasoning(text="hm", seal=_seal(b'"y"'))
    arrays = [SealDelta(candidate=0, index=0, seal=_seal(value)) for value in (b"[1]", b"[2]")]
    assert _part(Reasoning(), *arrays) == Reasoning(seal=_seal(b"[1,2]"))
    assert _part(Reasoning(seal=_seal(b"[0]")), *arrays) == Reasoning(seal=_seal(b"[0,1,2]"))


def test_sound_is_joined_behind_its_padding() -> None:
    deltas = [AudioDelta(candidate=0, index=0, data=data, transcript="a") for data in ("AAA=", "AQ==")]
    audio = _part(Audio(source=Inline("", ""), id="x"), *deltas)
    assert audio == Audio(source=Inline("", "AAAB"), id="x", transcript="aa")


def test_sound_that_is_no_base64_is_garbled() -> None:
    deltas = [AudioDelta(candidate=0, index=0, data=data) for data in ("AA!=", "AQ==")]
    with pytest.raises(Garbled):
        _part(Audio(source=Inline("", "")), *deltas)


def test_candidates_and_parts_are_in_their_own_order() -> None:
    response = fold(
        [
            Start(id="i", model="m", created=1, service_tier="flex", extras={"o": {"a": Raw(b"[1]")}}),
            PartStart(candidate=1, index=0, part=Text(text="b")),
            PartStart(candidate=0, index=0, part=Text(text="a")),
            ExtraDelta(candidate=None, origin="o", name="a", value=Raw(b"[2]")),
            ExtraDelta(candidate=1, origin="o", name="x", value=Raw(b"1")),
            UsageEvent(usage=Usage(input=1)),
            UsageEvent(usage=Usage(input=2)),
            Finish(candidate=1, stop=StopReason.STOP, native_stop="done"),
        ]
    )
    assert response == Response(
        id="i",
        model="m",
        created=1,
        service_tier="flex",
        usage=Usage(input=2),
        extras={"o": {"a": Raw(b"[1,2]")}},
        candidates=(
            Candidate(index=0, parts=(Text(text="a"),)),
            Candidate(
                index=1,
                parts=(Text(text="b"),),
                stop=StopReason.STOP,
                native_stop="done",
                extras={"o": {"x": Raw(b"1")}},
            ),
        ),
    )


def test_a_delta_of_a_part_that_never_began_is_garbled() -> None:
    with pytest.raises(Garbled):
        fold([Start(), _text("a")])


def test_a_failure_is_raised() -> None:
    with pytest.raises(CutMidStream):
        fold([Start(), Fail(error=CutMidStream("cut"))])
