"""What providers report, read exactly, and what is said of where it differs from the ledger."""

from collections.abc import Mapping
from typing import Any

import pytest

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.reconcile import Comparison, Kept, Tolerance, plain_model, reconcile
from komeet.ledger.statement import Billed, Statement, StatementError, read_json
from komeet.ledger.statement_csv import parse_map, read_csv

DAY = 86_400_000
START = 1_792_800_000_000  # 2026-10-24T00:00Z
NONE = Tolerance(ppm=0, nano=0)
NO_USAGE = Usage()


def statement(*lines: Billed, days: int = 1) -> Statement:
    spans = [(START + n * DAY, START + (n + 1) * DAY) for n in range(days)]
    return Statement(format="", kind="costs", lines=lines, spans=spans)


def billed(model: str = "m", cost: int | None = None, **numbers: Any) -> Billed:
    return Billed(start=START, end=START + DAY, model=model, cost=None if cost is None else Nano(cost), **numbers)


def kept(model: str = "m", hour: int = 3, calls: int = 1, cost: int = 0, usage: Usage = NO_USAGE, **more: int) -> Kept:
    counts: Mapping[str, int] = {"orphans": 0, "estimated": 0, "unpriced": 0} | more
    return Kept(hour=START + hour * 3_600_000, model=model, calls=calls, cost=cost, usage=usage, **counts)


def only(found: list[Comparison]) -> Comparison:
    (one,) = found
    return one


def test_what_is_equal_agrees() -> None:
    usage = Usage(input=10, cache_read=4, output=2)
    lines = [billed(requests=2, input=20, cache_read=8, output=4), billed(cost=5), billed(cost=6)]
    one = only(reconcile(statement(*lines), [kept(cost=4, usage=usage), kept(hour=9, cost=7, usage=usage)], NONE))
    assert one.within
    assert one.variance == 0
    assert one.reasons == ()


@pytest.mark.parametrize(
    ("line", "own", "differing", "said"),
    [
        (
            billed(requests=3, input=30),
            kept(calls=2, usage=Usage(input=20)),
            ("requests", "input"),
            "1 calls that the ledger does not have",
        ),
        (billed(requests=2), kept(calls=4), ("requests",), "the ledger has each call 2 times"),
        (billed(requests=3), kept(calls=4), ("requests",), "1 calls that the provider does not have"),
        (billed(requests=0), kept(calls=4), ("requests",), "4 calls that the provider does not have"),
        (billed(input=9), kept(usage=Usage(input=8), estimated=1), ("input",), "1 calls whose tokens were estimated"),
        (billed(output=9), kept(usage=Usage(output=12)), ("output",), "output -3 tokens"),
        (billed(cost=9), kept(cost=0, orphans=2), ("cost",), "2 orphans"),
        (billed(cost=9), kept(cost=0, unpriced=2), ("cost",), "2 calls without a known price"),
        (billed(cost=9, input=5), kept(cost=7, usage=Usage(input=5)), ("cost",), "the same tokens at another price"),
        (billed(cost=9), kept(cost=7), ("cost",), "another price, or other tokens"),
    ],
)  # fmt: skip
def test_why_it_differs(line: Billed, own: Kept, differing: tuple[str, ...], said: str) -> None:
    one = only(reconcile(statement(line), [own], NONE))
    assert one.differing == differing
    assert any(said in reason for reason in one.reasons), one.reasons


def test_what_only_one_side_has() -> None:
    theirs, ours = reconcile(statement(billed("a", cost=5)), [kept("b", cost=7)], NONE)
    assert (theirs.model, theirs.variance, ours.model, ours.variance) == ("a", 5, "b", -7)
    assert "no call of it" in theirs.reasons[0]
    assert "nothing of it" in ours.reasons[0]


def test_what_a_report_does_not_say_is_not_compared() -> None:
    assert only(reconcile(statement(billed(cost=5)), [kept(cost=5, usage=Usage(input=10))], NONE)).within
    assert only(reconcile(statement(billed(input=10)), [kept(cost=5, usage=Usage(input=10))], NONE)).within


def test_tolerances() -> None:
    line, own = billed(cost=1_000_000, input=1_000), kept(cost=995_000, usage=Usage(input=995))
    assert only(reconcile(statement(line), [own], Tolerance(ppm=5_000, nano=0))).within
    assert only(reconcile(statement(line), [own], Tolerance(ppm=4_999, nano=0))).differing == ("input", "cost")
    assert only(reconcile(statement(line), [own], Tolerance(ppm=4_999, nano=5_000))).differing == ("input",)


def test_versions_of_a_model_are_one_and_lines_without_a_model_are_of_all() -> None:
    assert [plain_model(name) for name in ("gpt-4o-2024-08-06", "claude-3-5-haiku-20241022", "o3", "gpt-2024")] == [
        "gpt-4o",
        "claude-3-5-haiku",
        "o3",
        "gpt-2024",
    ]
    assert only(reconcile(statement(billed("m-2026-01-31", cost=5)), [kept("m", cost=5)], NONE)).within
    everything = reconcile(
        statement(billed("", cost=5), billed("m", cost=1)), [kept("a", cost=2), kept("b", cost=4)], NONE
    )
    assert only(everything).within


def test_days_that_a_report_leaves_out_are_compared_too() -> None:
    lines = statement(billed(cost=5))
    first, second = reconcile(lines, [kept(cost=5), kept(hour=30, cost=3)], NONE)
    assert first.within
    assert (second.start, second.end, second.variance) == (START + DAY, START + 2 * DAY, -3)


PAGE = b'{"object":"page","has_more":false,"data":[{"start_time":1792800000,"end_time":1792886400,"results":[%s]}]}'
COST = PAGE.replace(b"%s", b'{"object":"organization.costs.result","amount":{"value":%s,"currency":"usd"}}')
USAGE = PAGE.replace(b"%s", b'{"object":"organization.usage.completions.result",%s}')


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "line 1: this is not JSON"),
        (b"[1]", "page 1: this is not an object"),
        (b"{}", "page 1: `data` is missing"),
        (PAGE % b"1", "page 1, data[0].results[0]: this is not an object"),
        (PAGE % b"{}", "page 1, data[0].results[0]: neither a line of OpenAI's"),
        (COST % b'"x"', "results[0].amount.value: 'x' is not an amount"),
        ((COST % b"1").replace(b"usd", b"eur"), "'eur' is not USD"),
        (COST % b"1e40", "that anybody could bill"),
        (USAGE % b'"input_tokens":-1', "input_tokens: -1 is not a count"),
        (USAGE % b'"model":3', "model: 3 is not a text"),
        ((PAGE % b"").replace(b"false", b"true"), "there are more pages"),
        ((PAGE % b"").replace(b"1792886400", b"1792800060"), "on the hour"),
        ((PAGE % b"").replace(b"start_time", b"when"), "neither `start_time`"),
        (b'{"data":[{"starting_at":"soon","ending_at":"2026-10-24"}]}', "'soon' is neither a date"),
        (b'{"data":[{"starting_at":"2026-10-24","ending_at":"2026-10-25"}]}', "`results` is not an array"),
    ],
)  # fmt: skip
def test_a_bad_file_says_where_it_is_bad(data: bytes, said: str) -> None:
    with pytest.raises(StatementError) as caught:
        read_json(data)
    assert said in str(caught.value)


def test_pages_may_stand_in_an_array_or_one_in_each_line() -> None:
    cost = PAGE % b'{"object":"organization.costs.result","amount":{"value":0.1,"currency":"usd"},"line_item":null}'
    more = cost.replace(b"false", b"true")
    for data in (b"[" + more + b"," + cost + b"]", more + b"\n" + cost + b"\n"):
        read = read_json(data)
        assert [line.cost for line in read.lines] == [100_000_000] * 2
    with pytest.raises(StatementError, match="line 2: this is not JSON"):
        read_json(more + b"\n{\n")


def test_amounts_are_read_exactly() -> None:
    for text, nano in (
        (b"0.000000001", 1),
        (b"123456.123456789", 123_456_123_456_789),
        (b'"0.30"', 300_000_000),
        (b"1e-9", 1),
    ):
        read = read_json(COST % text)
        assert [line.cost for line in read.lines] == [nano]


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("a,b\n1,2\n", None, "line 1: not the heading of an export of OpenAI"),
        ("Day,Cost\n2026-10-24,1\n", "date=Day,cost=USD", "line 1: no column 'USD'; there are 'Day', 'Cost'"),
        ("Day,Cost\n2026-10-24,1\n24.10.,1\n", "date=Day,cost=Cost", "line 3, date: '24.10.' is neither a date"),
        ('Day,Cost\n2026-10-24,"1,5"\n', "date=Day,cost=Cost", "line 2, cost: '1,5' is not an amount"),
        ("Day,In\n2026-10-24,1.5\n", "date=Day,input=In", "line 2, input: '1.5' is not a count"),
        ("Day,Cost\n2026-10-24,1,2\n", "date=Day,cost=Cost", "line 2: it has not as many fields"),
        ("Day,Cost\n2026-10-24\n", "date=Day,cost=Cost", "line 2: it has not as many fields"),
        ("Day,Cost,Cur\n2026-10-24,1,EUR\n", "date=Day,cost=Cost,currency=Cur", "line 2, currency: 'EUR' is not USD"),
        ('Day,Cost\n2026-10-24,"1\n', "date=Day,cost=Cost", "line"),
    ],
)
def test_a_bad_table_says_which_line(text: str, names: str | None, said: str) -> None:
    with pytest.raises(StatementError) as caught:
        read_csv(text, None if names is None else parse_map(names))
    assert said in str(caught.value)


@pytest.mark.parametrize("wrong", ["date", "day=Day", "cost=Cost", "date=Day", "date=Day,model=", "date=Day,colour=x"])
def test_a_mapping_that_cannot_be_used(wrong: str) -> None:
    with pytest.raises(StatementError, match="--map"):
        parse_map(wrong)


def test_other_tables() -> None:
    text = "\ufeffWhen\tWhat\tHow much\r\n2026-10-24T05:30:00+02:00\tm\t$1.5\r\n1792800000\tm\t-0.5\r\n\t\t\r\n"
    read = read_csv(text, parse_map("date=When,model=What,cost=How much"))
    assert [(line.start, line.end, line.cost) for line in read.lines] == [
        (START, START + DAY, 1_500_000_000),
        (START, START + DAY, -500_000_000),
    ]
