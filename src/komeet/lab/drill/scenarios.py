"""The faults that the drill has, in the order in which they are tried."""

from typing import Final

from komeet.lab.drill.scenario import (
    BREAK,
    HEALTHY,
    Answers,
    Break,
    Breaks,
    Call,
    Drops,
    Expected,
    Html,
    Refuses,
    Scenario,
    Silent,
    Wanted,
)
from komeet.lab.drill.script import EVENTS

LATE: Final = 0.7
"""Seconds; the deadline of whoever is drilled has to be longer."""
_LIMITED_ONCE: Final = Refuses(429, "Rate limit reached.", "rate_limit_exceeded", "requests", retry_after=1)
_LIMITED: Final = Refuses(429, "Rate limit reached.", "rate_limit_exceeded", "requests", retry_after=2)
_FAILED: Final = Refuses(500, "The server had an error while processing your request.")
_BUSY: Final = Refuses(503, "The engine is currently overloaded, please try again later.")
_TOO_LONG: Final = Refuses(
    400,
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
    "context_length_exceeded",
    "invalid_request_error",
)
_FILTER: Final = Refuses(
    400,
    "The response was filtered due to the prompt triggering the content management policy.",
    "content_filter",
    "invalid_request_error",
)
_NO_PREFILL: Final = Refuses(
    400, "This model does not support assistant message prefill.", None, "invalid_request_error"
)
_LIMIT: Final = Expected(Wanted.ERROR, statuses=(429,), retry_after=2)
_CONTEXT: Final = Expected(Wanted.ERROR, statuses=(400,), code="context_length_exceeded")
_REFUSED: Final = Expected(Wanted.ERROR, statuses=(400,), code="content_filter", alone=True)
_FILTERED: Final = Expected(Wanted.FILTERED, alone=True)
_BLAMELESS: Final = Expected(Wanted.ERROR, statuses=(500, 502, 503, 504))
_LEFT: Final = Expected(Wanted.LEFT)


def _both(call: Call) -> tuple[Call, Call]:
    """Return a call whole and as a stream."""
    return (
        call,
        Call(call.first, call.second, stream=True, expected=call.expected, prefill=call.prefill),
    )


def _cuts(how: Break) -> tuple[Call, ...]:
    """Return a call for each event before which a stream can be cut; what has not begun can be had elsewhere."""
    return (
        Call((Breaks(how, at=1),), expected=BREAK),
        *(Call((Breaks(how, at=at),), stream=True, expected=BREAK) for at in range(EVENTS)),
    )


def _broken(how: Break) -> tuple[Call, ...]:
    """Return calls that go wrong at the beginning and in the middle."""
    return (
        *_both(Call((Breaks(how),))),
        Call((Breaks(how, at=3),), expected=BREAK),
        Call((Breaks(how, at=3),), stream=True, expected=BREAK),
    )


SCENARIOS: Final = (
    Scenario("healthy", "Nothing is wrong.", _both(Call((HEALTHY,)))),
    Scenario(
        "429-once",
        "429 with Retry-After once, then all is well; then both upstreams do so.",
        (*_both(Call((_LIMITED_ONCE, HEALTHY))), Call((_LIMITED_ONCE, HEALTHY), (_LIMITED_ONCE, HEALTHY))),
    ),
    Scenario(
        "429-persistent",
        "Both upstreams answer 429 with Retry-After, always.",
        _both(Call((_LIMITED,), (_LIMITED,), expected=_LIMIT)),
    ),
    Scenario("500-once", "One 500, then all is well.", _both(Call((_FAILED, HEALTHY)))),
    Scenario("503-once", "One 503, then all is well.", _both(Call((_BUSY, HEALTHY)))),
    Scenario("reset", "The connection is reset before any answer.", _both(Call((Drops(),)))),
    Scenario("silent", "The request is taken, and nothing is said.", _both(Call((Silent(),)))),
    Scenario("late", "The first byte comes late, but in time.", _both(Call((Answers(late=LATE),)))),
    Scenario("cut-reset", "A stream is reset, before each of its events.", _cuts(Break.RESET)),
    Scenario("cut-close", "A stream's connection is closed, before each of its events.", _cuts(Break.CLOSE)),
    Scenario("cut-end", "A stream ends in good order, before each of its events.", _cuts(Break.END)),
    Scenario("stall", "An answer begins, then nothing more comes.", _broken(Break.STALL)),
    Scenario("bad-chunk", "A chunk's size is no number.", _broken(Break.CHUNK)),
    Scenario("bad-json", "An event, or the whole answer, is half of its JSON.", _broken(Break.JSON)),
    Scenario("no-done", "A stream has all but its [DONE].", (Call((Answers(done=False),), stream=True),)),
    Scenario("error-event", "An error after status 200, at once and in the middle.", _broken(Break.ERROR)),
    Scenario("html", "A web page with status 200.", _both(Call((Html(),)))),
    Scenario(
        "context-length",
        "Both upstreams refuse the prompt as too long: the caller's to mend, and told so.",
        _both(Call((_TOO_LONG,), (_TOO_LONG,), expected=_CONTEXT)),
    ),
    Scenario(
        "content-filter",
        "A filter refuses the prompt, or the answer: nobody else is asked.",
        (
            *_both(Call((_FILTER,), expected=_REFUSED)),
            *_both(Call((Answers(finish="content_filter"),), expected=_FILTERED)),
        ),
    ),
    Scenario(
        "fallback-refuses",
        "One fails, the other refuses what the first would have taken: the caller is not to blame.",
        _both(Call((_FAILED,), (_NO_PREFILL,), expected=_BLAMELESS, prefill=True)),
    ),
    Scenario(
        "flapping",
        "Every other call fails.",
        tuple(Call((_FAILED if number % 2 else HEALTHY,), stream=number % 4 > 1) for number in range(12)),
    ),
    Scenario(
        "caller-leaves",
        "The caller leaves in the middle of a stream: the upstream need not go on.",
        (Call((Answers(pause=0.5),), stream=True, expected=_LEFT, leave_after=2),),
    ),
)
