"""The verdicts of the drill: each lie that a gateway may pass on has its result, and its reason."""

import json
from typing import Any

import pytest

from komeet.lab.drill.judge import account, judge, reached, sum_up
from komeet.lab.drill.report import document, failed, line, score
from komeet.lab.drill.scenario import (
    ANSWER,
    BREAK,
    HEALTHY,
    Answers,
    Asked,
    Call,
    Drops,
    Ended,
    Expected,
    Made,
    Outcome,
    Refuses,
    Result,
    Seen,
    Usage,
    Verdict,
    Wanted,
)
from komeet.lab.drill.scenarios import SCENARIOS
from komeet.lab.drill.script import saying

NUMBER = 7
FIRST = saying(NUMBER, first=True)
SECOND = saying(NUMBER, first=False)
ASKED = Asked(first=True, at=0.0, act=HEALTHY, usage=FIRST.usage)
LIMITED = Refuses(429, "slow down", retry_after=2)
DONE = b"data: [DONE]\n\n"


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def piece(text: str | None = None, finish: str | None = None) -> bytes:
    return event(choices=[{"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}])


def usage(told: Usage) -> dict[str, int]:
    return {"prompt_tokens": told.prompt, "completion_tokens": told.completion}


USED = event(choices=[], usage=usage(FIRST.usage))
WHOLE = piece(FIRST.text) + piece(finish="stop") + USED + DONE
ERROR = event(error={"message": "broke", "type": "server_error", "param": None, "code": "cut"})
BLAME = event(error={"message": "no", "type": "invalid_request_error", "param": None, "code": None})


def stream(body: bytes, ended: Ended = Ended.WHOLE) -> Seen:
    return Seen(ended=ended, status=200, headers={"content-type": "text/event-stream; charset=utf-8"}, body=body)


def answer(body: object, status: int = 200, kind: str = "application/json", retry_after: str | None = None) -> Seen:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": kind} | ({} if retry_after is None else {"retry-after": retry_after})
    return Seen(ended=Ended.WHOLE, status=status, headers=headers, body=data)


def refusal(status: int, code: str | None = None, kind: str = "server_error", retry_after: str | None = None) -> Seen:
    error = {"message": "no", "type": kind, "param": None, "code": code}
    return answer({"error": error}, status, retry_after=retry_after)


def completion(text: str = FIRST.text, finish: str = "stop", **more: Any) -> Seen:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return answer({"choices": [choice]} | more)


def verdict(expected: Expected, seen: Seen, *asked: Asked) -> Verdict:
    call = Call((Drops(),), expected=expected)
    return judge(Made(NUMBER, call, seen, asked or (ASKED,)))


LIMIT = Expected(Wanted.ERROR, statuses=(429,), retry_after=2)
CONTEXT = Expected(Wanted.ERROR, statuses=(400,), code="context_length_exceeded")
BLAMELESS = Expected(Wanted.ERROR, statuses=(500, 502))
FILTERED = Expected(Wanted.FILTERED, alone=True)


@pytest.mark.parametrize(
    ("expected", "seen", "result"),
    [
        (ANSWER, stream(WHOLE), Result.PASS),
        (ANSWER, completion(usage=usage(FIRST.usage)), Result.PASS),
        (ANSWER, stream(WHOLE.removesuffix(DONE)), Result.PARTIAL),
        (ANSWER, stream(WHOLE.replace(USED, b"")), Result.PARTIAL),
        (ANSWER, completion(), Result.PARTIAL),
        (ANSWER, stream(WHOLE, Ended.BROKEN), Result.PARTIAL),
        (ANSWER, completion(usage={"prompt_tokens": 1, "completion_tokens": 1}), Result.FAIL),
        (ANSWER, refusal(502), Result.SAFE_FAIL),
        (ANSWER, stream(ERROR), Result.SAFE_FAIL),
        (ANSWER, refusal(400, kind="invalid_request_error"), Result.FAIL),
        (ANSWER, stream(BLAME), Result.FAIL),
        (ANSWER, answer({"error": {"message": "no"}}), Result.FAIL),
        (ANSWER, answer(b"<html></html>", kind="text/html"), Result.FAIL),
        (ANSWER, answer({}), Result.FAIL),
        (ANSWER, Seen(Ended.HANG), Result.FAIL),
        (ANSWER, Seen(Ended.NOTHING), Result.FAIL),
        (ANSWER, completion("comets"), Result.FAIL),
        (ANSWER, completion(SECOND.text + FIRST.text), Result.FAIL),
        (ANSWER, completion(finish="length"), Result.FAIL),
        (BREAK, stream(piece("comets") + ERROR), Result.PASS),
        (BREAK, stream(WHOLE), Result.PASS),
        (BREAK, refusal(502), Result.PASS),
        (BREAK, stream(piece("comets") + ERROR + DONE), Result.PARTIAL),
        (BREAK, stream(piece("comets") + event(error="broke")), Result.PARTIAL),
        (BREAK, stream(piece("comets"), Ended.BROKEN), Result.SAFE_FAIL),
        (BREAK, stream(piece("comets") + b"data: {\n\n" + DONE), Result.SAFE_FAIL),
        (BREAK, stream(piece(FIRST.text) + b"data: {\n\n" + piece(finish="stop") + DONE), Result.SAFE_FAIL),
        (BREAK, stream(piece("comets")), Result.FAIL),
        (BREAK, stream(piece("comets") + DONE), Result.FAIL),
        (BREAK, stream(piece("comets") + piece(finish="stop") + DONE), Result.FAIL),
        (BREAK, stream(piece("comets") + BLAME), Result.FAIL),
        (BREAK, stream(b""), Result.FAIL),
        (LIMIT, refusal(429, kind="rate_limit_error", retry_after="2"), Result.PASS),
        (LIMIT, refusal(429, kind="rate_limit_error"), Result.PARTIAL),
        (LIMIT, refusal(429, kind="rate_limit_error", retry_after="60"), Result.PARTIAL),
        (LIMIT, refusal(503), Result.SAFE_FAIL),
        (LIMIT, stream(ERROR), Result.SAFE_FAIL),
        (LIMIT, refusal(400, kind="invalid_request_error"), Result.FAIL),
        (LIMIT, stream(WHOLE), Result.FAIL),
        (CONTEXT, refusal(400, "context_length_exceeded", "invalid_request_error"), Result.PASS),
        (CONTEXT, refusal(400, None, "invalid_request_error"), Result.PARTIAL),
        (CONTEXT, refusal(502), Result.FAIL),
        (BLAMELESS, refusal(502), Result.PASS),
        (BLAMELESS, answer(b"oops", 502), Result.PARTIAL),
        (BLAMELESS, refusal(400, kind="invalid_request_error"), Result.FAIL),
        (FILTERED, completion(finish="content_filter", usage=usage(FIRST.usage)), Result.PASS),
        (FILTERED, completion(usage=usage(FIRST.usage)), Result.FAIL),
        (FILTERED, refusal(502), Result.SAFE_FAIL),
    ],
)
def test_what_is_seen_has_its_result(expected: Expected, seen: Seen, result: Result) -> None:
    found = verdict(expected, seen)
    assert found.result is result
    assert bool(found.why) is (result is not Result.PASS)


def test_the_second_upstream_may_answer_and_only_one_of_them() -> None:
    told = Asked(first=False, at=1.0, act=HEALTHY, usage=SECOND.usage)
    assert verdict(ANSWER, completion(SECOND.text, usage=usage(SECOND.usage)), told).result is Result.PASS
    assert verdict(ANSWER, completion(SECOND.text, usage=usage(FIRST.usage)), told).result is Result.FAIL


def test_what_a_filter_refuses_is_not_asked_again() -> None:
    seen = completion(finish="content_filter", usage=usage(FIRST.usage))
    other = Asked(first=False, at=1.0, act=HEALTHY)
    assert verdict(FILTERED, seen, ASKED, other).result is Result.FAIL


@pytest.mark.parametrize(("after", "result"), [(0.5, Result.PARTIAL), (1.97, Result.PASS), (2.5, Result.PASS)])
def test_retry_after_is_kept(after: float, result: Result) -> None:
    limited = Asked(first=True, at=10.0, act=LIMITED)
    again = Asked(first=True, at=10.0 + after, act=HEALTHY, usage=FIRST.usage)
    assert verdict(ANSWER, stream(WHOLE), limited, again).result is result


def test_a_storm_of_requests_is_not_a_pass() -> None:
    assert verdict(ANSWER, stream(WHOLE), *[ASKED] * 7).result is Result.PARTIAL


@pytest.mark.parametrize(
    ("left_at", "result"), [(5.5, Result.PASS), (8.0, Result.PARTIAL), (None, Result.FAIL)], ids=str
)
def test_the_upstream_is_left_soon_when_the_caller_leaves(left_at: float | None, result: Result) -> None:
    asked = Asked(first=True, at=4.0, act=Answers(pause=1), left_at=left_at)
    seen = Seen(Ended.LEFT, 200, left_at=5.0)
    assert verdict(Expected(Wanted.LEFT), seen, asked).result is result


def test_a_scenario_is_as_good_as_its_worst_call() -> None:
    bad, good = Verdict(Result.FAIL, "a part"), Verdict(Result.PASS)
    assert sum_up([good, bad, Verdict(Result.PARTIAL, "x"), bad], unreached=0) == Verdict(
        Result.FAIL, "a part (2 of 4 calls)"
    )
    assert sum_up([good, good], unreached=0) == good
    assert sum_up([good], unreached=1).result is Result.PARTIAL  # nothing was tried
    assert sum_up([good, good], unreached=1).result is Result.PASS
    assert "1 of 2" in sum_up([good, good], unreached=1).why


def test_a_lie_that_was_not_asked_for_is_not_reached() -> None:
    second = Asked(first=False, at=0.0, act=HEALTHY)
    assert not reached(Made(1, Call((Drops(),)), stream(WHOLE), (second,)))
    assert reached(Made(1, Call((Drops(),)), stream(WHOLE), (ASKED,)))
    assert reached(Made(1, Call((HEALTHY,)), stream(WHOLE), (second,)))


def test_usage_in_answers_is_compared_with_the_logs() -> None:
    right = Made(NUMBER, Call((HEALTHY,)), stream(WHOLE), (ASKED,))
    lost = Made(NUMBER, Call((HEALTHY,)), completion(), (ASKED,))
    wrong = Made(NUMBER, Call((HEALTHY,)), completion(usage={"prompt_tokens": 1, "completion_tokens": 2}), (ASKED,))
    assert account([right, right]).result is Result.PASS
    assert account([right, lost]).result is Result.PARTIAL
    assert account([right, lost, wrong]).result is Result.FAIL


def test_the_report() -> None:
    outcomes = (Outcome("reset", Result.PASS, ""), Outcome("stall", Result.SAFE_FAIL, "late"))
    assert document(outcomes)["scenarios"][1] == {"name": "stall", "result": "safe-fail", "why": "late"}
    assert line(outcomes[1]) == "! stall            safe-fail  late"
    assert score(outcomes) == "2 scenarios: 1 pass, 1 safe-fail"
    assert not failed(outcomes)
    assert failed((Outcome("x", Result.FAIL, "why"),))


def test_scenarios_have_names_of_their_own_and_say_what_they_do() -> None:
    names = [one.name for one in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(one.about and one.calls for one in SCENARIOS)
