"""What an upstream does in the drill, what the caller must see of it, and how that is called. Values only."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

STOP: Final = "stop"


class Result(StrEnum):
    """How a gateway came out, from best to worst."""

    PASS = "pass"  # noqa: S105 - no password
    """The right answer, or the right error."""
    PARTIAL = "partial"
    """Answered, or told, but something is lost: a header, the usage, the end of the stream."""
    SAFE_FAIL = "safe-fail"
    """A clear error, where an answer could have been had."""
    FAIL = "fail"
    """Part of an answer as if it were whole, a wrong answer, silence, or the blame on who is not to blame."""


WORST: Final = (Result.PASS, Result.PARTIAL, Result.SAFE_FAIL, Result.FAIL)


class Verdict(Struct, frozen=True):
    """A result and its reason; of a pass the reason may be empty."""

    result: Result
    why: str = ""


class Outcome(Struct, frozen=True):
    """What a gateway made of a scenario."""

    name: str
    result: Result
    why: str


class Break(StrEnum):
    """How an answer that has begun goes wrong."""

    RESET = "reset"
    """The connection is reset (RST)."""
    CLOSE = "close"
    """The connection is closed (FIN), before the body's end."""
    END = "end"
    """The body ends in good order, before the answer does: no finish_reason, no [DONE]."""
    STALL = "stall"
    """Nothing more comes, and the connection stays open."""
    CHUNK = "chunk"
    """A chunk's size is no number."""
    JSON = "json"
    """An event that is no JSON; the rest is as it should be."""
    ERROR = "error"
    """An event that says an error, then the end."""


class Answers(Struct, frozen=True):
    """Answers as it should, but for what is said here."""

    late: float = 0.0
    """Seconds before the first byte."""
    pause: float = 0.0
    """Seconds between two events."""
    done: bool = True
    """Whether a stream has its [DONE]."""
    finish: str = STOP


class Refuses(Struct, frozen=True):
    """An error status, with an error in OpenAI's shape."""

    status: int
    message: str
    code: str | None = None
    kind: str = "server_error"
    retry_after: int | None = None
    """Seconds."""


class Html(Struct, frozen=True):
    """A page of a proxy, with status 200."""


class Drops(Struct, frozen=True):
    """Resets the connection where the answer should begin."""


class Silent(Struct, frozen=True):
    """Takes the request, and says nothing."""


class Breaks(Struct, frozen=True):
    """Begins as it should, and goes wrong after `at` events; an answer that is no stream, halfway (at 0: at once)."""

    how: Break
    at: int = 0


Act = Answers | Refuses | Html | Drops | Silent | Breaks
HEALTHY: Final = Answers()


class Wanted(StrEnum):
    """What is right."""

    ANSWER = "answer"
    """The whole answer, from whichever upstream."""
    BREAK = "break"
    """An error that ends what had begun, or the whole answer; never a part as if it were whole."""
    ERROR = "error"
    """An error of these statuses."""
    FILTERED = "filtered"
    """The answer that says that it was filtered; nobody else is asked."""
    LEFT = "left"
    """The caller leaves; the upstream's connection is closed soon."""


class Expected(Struct, frozen=True):
    """What the caller must see."""

    wanted: Wanted
    statuses: tuple[int, ...] = ()
    """Of an error: what is right."""
    code: str | None = None
    """Of an error: its code, where there is one for it."""
    retry_after: int | None = None
    """Of an error: the seconds that it must name, at least one and at most these."""
    alone: bool = False
    """Whether only the first upstream may be asked, and only once."""


ANSWER: Final = Expected(Wanted.ANSWER)
BREAK: Final = Expected(Wanted.BREAK)


class Call(Struct, frozen=True):
    """One call: what each upstream does with it, attempt by attempt (the last act goes on), and what is right."""

    first: tuple[Act, ...]
    second: tuple[Act, ...] = (HEALTHY,)
    stream: bool = False
    expected: Expected = ANSWER
    prefill: bool = False
    """Whether the conversation ends with the beginning of an answer."""
    leave_after: int | None = None
    """The events after which the caller leaves."""


class Scenario(Struct, frozen=True):
    """Some calls, one after the other, that show how a gateway does with one fault."""

    name: str
    """Letters, digits and hyphens."""
    about: str
    """What happens, in one line."""
    calls: tuple[Call, ...]


class Usage(Struct, frozen=True):
    """Tokens, as an upstream counts them."""

    prompt: int
    completion: int


class Asked(Struct, frozen=True):
    """A request that reached an upstream, from the upstream's own log."""

    first: bool
    """Whether it was the first upstream."""
    at: float
    """When it had arrived, in seconds of some clock."""
    act: Act
    usage: Usage | None = None
    """What it told of usage, where it came to that."""
    left_at: float | None = None
    """When the other side closed the connection before the answer was complete, by the same clock."""


class Ended(StrEnum):
    """How the gateway's answer ended."""

    WHOLE = "whole"
    """As HTTP says that it ends."""
    BROKEN = "broken"
    """The connection ended before the body did."""
    NOTHING = "nothing"
    """The connection ended before there was an answer, or there was none to be had."""
    HANG = "hang"
    """Nothing more came for as long as the caller waits."""
    LEFT = "left"
    """The caller left."""


class Seen(Struct, frozen=True):
    """What the caller got."""

    ended: Ended
    status: int = 0
    headers: dict[str, str] = {}
    """By names in lower case."""
    body: bytes = b""
    left_at: float | None = None
    """When the caller left."""


class Made(Struct, frozen=True):
    """A call that was made: what was played, what the caller got, and what the upstreams' log says."""

    number: int
    call: Call
    seen: Seen
    asked: tuple[Asked, ...]


def worst(verdicts: tuple[Verdict, ...]) -> Result:
    """Return the worst of some results; a pass where there are none."""
    return max((one.result for one in verdicts), key=WORST.index, default=Result.PASS)
