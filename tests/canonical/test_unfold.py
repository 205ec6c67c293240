"""A whole answer, told as events, is the same answer."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.fold import fold
from komeet.canonical.part import Audio, Inline, Part, Reasoning, Refusal, Text, ToolCall
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage

TEXTS = st.text(max_size=5)
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=TEXTS, extras=st.just({})),
    st.builds(Reasoning, text=TEXTS, field=TEXTS, seal=st.none(), extras=st.just({})),
    st.builds(Refusal, text=TEXTS, extras=st.just({})),
    st.builds(ToolCall, id=TEXTS, name=TEXTS, arguments=st.binary(max_size=5), extras=st.just({})),
    st.builds(Audio, source=st.just(Inline("", "aGk=")), transcript=TEXTS, id=TEXTS, extras=st.just({})),
)
EXTRAS: st.SearchStrategy[Extras] = st.sampled_from([{}, {"here": {"logprobs": Raw(b"[1]")}}])


def _candidate(index: int) -> st.SearchStrategy[Candidate]:
    return st.builds(
        Candidate,
        index=st.just(index),
        parts=st.lists(PARTS, max_size=3).map(tuple),
        stop=st.sampled_from(StopReason),
        native_stop=TEXTS,
        extras=EXTRAS,
    )


@given(
    st.builds(
        Response,
        id=TEXTS,
        model=TEXTS,
        created=st.integers(0, 9),
        candidates=st.tuples(_candidate(0), _candidate(1)),
        usage=st.sampled_from([None, Usage(input=3, output=2)]),
        service_tier=st.sampled_from([None, "flex"]),
        extras=EXTRAS,
    )
)
def test_fold_makes_the_same_of_it_again(response: Response) -> None:
    assert fold(unfold(response)) == response
