"""From what the caller saw and what the upstreams' log says to a verdict. Values in, values out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, assert_never

from komeet.lab.drill.reading import Error, Reading, read
from komeet.lab.drill.scenario import (
    HEALTHY,
    STOP,
    Asked,
    Call,
    Ended,
    Expected,
    Made,
    Refuses,
    Result,
    Seen,
    Verdict,
    Wanted,
    worst,
)
from komeet.lab.drill.script import Saying, saying

_PASS: Final = Verdict(Result.PASS)
_BLAMES_CALLER: Final = frozenset({400, 401, 403, 404, 413, 422})
_CALLERS_KINDS: Final = frozenset({"invalid_request_error", "authentication_error", "permission_error"})
_SOON: Final = 2.0
_LATE: Final = 5.0
"""Seconds after which an upstream's connection is closed when the caller has left: soon enough, and at all."""
_MOST_REQUESTS: Final = 6
_EARLY: Final = 0.05
"""Seconds by which clocks may differ."""


def judge(made: Made) -> Verdict:
    """Return how a gateway did with one call."""
    sayings = (saying(made.number, first=True), saying(made.number, first=False))
    verdicts = (_seen(made.call.expected, made.seen, made.asked, sayings), *_upstreams(made.call, made.asked))
    result = worst(verdicts)
    return Verdict(result, next(one.why for one in verdicts if one.result is result))


def reached(made: Made) -> bool:
    """Whether the lie was told at all."""
    return made.call.first[0] == HEALTHY or any(one.first for one in made.asked)


def account(made: Sequence[Made]) -> Verdict:
    """Compare the usage of all whole answers with the upstreams' logs: for a gateway whose books are out of reach."""
    readings = [(read(one.seen), one) for one in made if one.seen.ended is Ended.WHOLE]
    whole = [(reading, one) for reading, one in readings if reading.error is None and reading.finish == STOP]
    verdicts = tuple(_usage(reading, one.asked) for reading, one in whole)
    result = worst(verdicts)
    wrong = [one for one in verdicts if one.result is not Result.PASS]
    if not wrong:
        return Verdict(result, f"the usage of {len(whole)} answers is what the upstreams told")
    return Verdict(result, f"{len(wrong)} of {len(whole)} answers: {wrong[0].why}")


def sum_up(verdicts: Sequence[Verdict], *, unreached: int) -> Verdict:
    """Return the verdict on a scenario: the worst of its calls.

    Args:
        verdicts: one for each call.
        unreached: how many calls the gateway kept from the upstream that lies, since it had just been unwell.
    """
    result = worst(tuple(verdicts))
    whys = list(dict.fromkeys(one.why for one in verdicts if one.result is result and one.why))
    some = [one for one in verdicts if one.result is result]
    count = f" ({len(some)} of {len(verdicts)} calls)" if result is not Result.PASS and len(verdicts) > 1 else ""
    why = "; ".join(whys[:2]) + count
    if not unreached:
        return Verdict(result, why)
    note = f"{unreached} of {len(verdicts)} calls were kept from the upstream, though it was well before each"
    if unreached == len(verdicts) and result is Result.PASS:
        return Verdict(Result.PARTIAL, note)
    return Verdict(result, f"{why}; {note}" if why else note)


def _seen(expected: Expected, seen: Seen, asked: Sequence[Asked], sayings: Sequence[Saying]) -> Verdict:
    match seen.ended:
        case Ended.HANG:
            return Verdict(Result.FAIL, "the caller was left waiting")
        case Ended.NOTHING:
            return Verdict(Result.FAIL, "the connection ended without any answer")
        case Ended.LEFT:
            return _left(seen, asked)
        case Ended.WHOLE | Ended.BROKEN:
            pass
        case _:
            assert_never(seen.ended)
    reading = read(seen)
    if reading.error is not None:
        return _error(expected, seen, reading, reading.error)
    if expected.wanted is Wanted.LEFT:
        return Verdict(Result.FAIL, "the answer was over before the caller could leave")
    if expected.wanted is Wanted.ERROR:
        return _answered_in_error(reading)
    return _answer(expected, seen, reading, asked, sayings)


def _error(expected: Expected, seen: Seen, reading: Reading, error: Error) -> Verdict:
    said = f"{seen.status} {error.code or error.kind}".strip()
    if seen.status < 400 and not reading.streamed:
        return Verdict(Result.FAIL, "an error with status 200, as if it were an answer")
    blamed = seen.status in _BLAMES_CALLER or error.kind in _CALLERS_KINDS
    match expected.wanted:
        case Wanted.ERROR:
            return _right_error(expected, seen, error, blamed=blamed, said=said)
        case Wanted.ANSWER | Wanted.BREAK if blamed:
            return Verdict(Result.FAIL, f"the caller is blamed for what the upstream did ({said})")
        case Wanted.BREAK if reading.done and seen.status == 200:
            return Verdict(Result.PARTIAL, "[DONE] after an error")
        case Wanted.BREAK if not error.shaped:
            return Verdict(Result.PARTIAL, f"an error without OpenAI's shape ({said})")
        case Wanted.BREAK:
            return _PASS
        case Wanted.ANSWER | Wanted.FILTERED:
            return Verdict(Result.SAFE_FAIL, f"an error ({said}), where an answer could have been had")
        case Wanted.LEFT:
            return Verdict(Result.FAIL, f"an error ({said}) before the caller could leave")
        case _:
            assert_never(expected.wanted)


def _right_error(expected: Expected, seen: Seen, error: Error, *, blamed: bool, said: str) -> Verdict:
    callers = any(status in _BLAMES_CALLER for status in expected.statuses)
    wanted = f"{' or '.join(map(str, expected.statuses))}{f' {expected.code}' if expected.code else ''}"
    if blamed and not callers:
        return Verdict(Result.FAIL, f"the caller is blamed for what the upstream did ({said})")
    if callers and not blamed:
        return Verdict(Result.FAIL, f"the provider is blamed ({said}) for what the caller can mend ({wanted})")
    if seen.status == 200:
        return Verdict(Result.SAFE_FAIL, f"an error only in the stream, with status 200; right: {wanted}")
    if seen.status not in expected.statuses:
        return Verdict(Result.SAFE_FAIL, f"another error ({said}); right: {wanted}")
    if not error.shaped:
        return Verdict(Result.PARTIAL, f"an error without OpenAI's shape ({said})")
    if expected.code is not None and error.code != expected.code:
        return Verdict(Result.PARTIAL, f"the code is lost ({said}); right: {wanted}")
    if expected.retry_after is not None and not _in_seconds(seen.headers.get("retry-after", ""), expected.retry_after):
        return Verdict(Result.PARTIAL, f"Retry-After is lost or wrong: {seen.headers.get('retry-after', 'none')}")
    return _PASS


def _in_seconds(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= most


def _answered_in_error(reading: Reading) -> Verdict:
    what = f"an answer ({reading.text[:40]!r})" if reading.text else "an empty answer"
    return Verdict(Result.FAIL, f"{what}, where there is none")


def _answer(
    expected: Expected, seen: Seen, reading: Reading, asked: Sequence[Asked], sayings: Sequence[Saying]
) -> Verdict:
    finish = "content_filter" if expected.wanted is Wanted.FILTERED else STOP
    whole = any(reading.text == said.text for said in sayings)
    if not whole or reading.finish != finish:
        return _not_whole(seen, reading, whole=whole, finish=finish)
    if reading.broken:
        return Verdict(Result.SAFE_FAIL, "what is no JSON was handed on")
    if seen.ended is Ended.BROKEN:
        return Verdict(Result.PARTIAL, "all of the answer, and then the connection breaks")
    if reading.streamed and not reading.done:
        return Verdict(Result.PARTIAL, "all of the answer, and no [DONE]")
    return _usage(reading, asked)


def _not_whole(seen: Seen, reading: Reading, *, whole: bool, finish: str) -> Verdict:
    if seen.ended is Ended.BROKEN:
        return Verdict(Result.SAFE_FAIL, "the answer breaks off without a word of why")
    if reading.broken and (reading.streamed or not _is_json(seen)):
        shown = "what is no JSON was handed on" if reading.streamed else "what is no answer was handed on as one"
        return Verdict(Result.SAFE_FAIL if reading.streamed else Result.FAIL, shown)
    if whole:
        return Verdict(Result.FAIL, f"the answer says that it ended by {reading.finish}, not by {finish}")
    if not reading.text:
        return Verdict(Result.FAIL, "an empty answer, as if it were whole")
    return Verdict(Result.FAIL, "a part of the answer, as if it were whole")


def _is_json(seen: Seen) -> bool:
    return seen.headers.get("content-type", "").startswith("application/json") and not read(seen).broken


def _usage(reading: Reading, asked: Sequence[Asked]) -> Verdict:
    told = [one.usage for one in asked if one.usage is not None]
    if not told:
        return _PASS
    if reading.usage is None:
        return Verdict(Result.PARTIAL, "the usage is lost")
    if reading.usage not in told:
        ours, theirs = reading.usage, told[-1]
        why = f"usage of {ours.prompt}+{ours.completion} tokens; the upstream said {theirs.prompt}+{theirs.completion}"
        return Verdict(Result.FAIL, why)
    return _PASS


def _left(seen: Seen, asked: Sequence[Asked]) -> Verdict:
    closed = [one.left_at - seen.left_at for one in asked if one.left_at is not None and seen.left_at is not None]
    if not closed:
        return Verdict(Result.FAIL, f"{_LATE:.0f} s after the caller left, the upstream is still listened to")
    if max(closed) > _SOON:
        return Verdict(Result.PARTIAL, f"the upstream was left {max(closed):.1f} s after the caller had gone")
    return _PASS


def _upstreams(call: Call, asked: Sequence[Asked]) -> tuple[Verdict, ...]:
    """Judge what the upstreams saw."""
    found: list[Verdict] = []
    if call.expected.alone and len(asked) > 1:
        found.append(Verdict(Result.FAIL, "what a filter refused was asked again"))
    if len(asked) > _MOST_REQUESTS:
        found.append(Verdict(Result.PARTIAL, f"{len(asked)} requests for one call"))
    for first in (True, False):
        ours = [one for one in asked if one.first is first]
        for before, after in pairwise(ours):
            wait = before.act.retry_after if isinstance(before.act, Refuses) else None
            if wait is not None and after.at - before.at < wait - _EARLY:
                why = f"asked again after {after.at - before.at:.1f} s, though Retry-After was {wait}"
                found.append(Verdict(Result.PARTIAL, why))
    return tuple(found)
