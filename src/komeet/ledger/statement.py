"""What a provider says was used and billed: the lines of its usage and cost reports, whatever their format.

A line is of a span of time and a model (none: of all models). What a report does not say is None, and not compared:
usage reports have no amounts, cost reports no tokens.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from komeet.core.money import Nano

HOUR_MS: Final = 3_600_000
_NANO: Final = Decimal(10**9)
_CENTS: Final = Decimal(10**7)


class StatementError(Exception):
    """The file is not a report that can be compared; the message says where and why."""


_KINDS: Final = {
    "openai_usage": "usage",
    "openai_costs": "costs",
    "anthropic_usage": "usage report",
    "anthropic_costs": "cost report",
}
"""The formats of providers, and what they are for people."""


class Billed(Struct, frozen=True, kw_only=True):
    """One line of a report."""

    start: int
    end: int
    """Unix milliseconds on the hour; the end is exclusive."""
    model: str = ""
    """As the provider calls it; empty: the line is of all models."""
    item: str = ""
    """What else the provider says of it: the class of token, a tool."""
    requests: int | None = None
    input: int | None = None
    """All input tokens, cached or not."""
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    cost: Nano | None = None


class Statement(Struct, frozen=True, kw_only=True):
    """A report."""

    format: str
    """In which format it is, as the registry of providers names it; empty: in none of a provider's own."""
    kind: str
    """What it is, for people."""
    lines: Sequence[Billed]
    spans: Sequence[tuple[int, int]]
    """The spans of time that it covers, those without lines too."""


def read_json(data: bytes) -> Statement:
    """Read the answers of OpenAI's usage and costs API, or of Anthropic's usage and cost reports.

    Args:
        data: one answer, an array of them, or one in each line: all pages of one report.

    Raises:
        StatementError: it is none of these, or a page is missing.
    """
    pages = _pages(data)
    lines: list[Billed] = []
    spans: list[tuple[int, int]] = []
    kinds: set[str] = set()
    for number, page in enumerate(pages, 1):
        where = f"page {number}"
        for place, bucket in enumerate(_buckets(page, where)):
            at = f"{where}, data[{place}]"
            dated = "starting_at" in _object(bucket, at)
            start, end = _iso(bucket, at) if dated else _unix(bucket, at)
            spans.append((start, end))
            for index, result in enumerate(_results(bucket, at)):
                here = f"{at}.results[{index}]"
                one = _object(result, here)
                kind = _kind(one, here, dated=dated)
                kinds.add(kind)
                lines.append(_READERS[kind](one, start, end, here))
        if page.get("has_more") and number == len(pages):
            raise StatementError(f"{where} says that there are more pages: fetch those too, and put one in each line")
    if len(kinds) > 1:
        raise StatementError("the pages are of different reports: reconcile one at a time")
    kind = next(iter(kinds), "")
    return Statement(format=kind, kind=_KINDS.get(kind, "an empty report"), lines=lines, spans=spans)


_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def _pages(data: bytes) -> list[dict[str, Any]]:
    try:
        whole = _decode(data)
    except msgspec.DecodeError as error:
        whole = _lines(data, error)
    pages = cast("list[Any]", whole) if isinstance(whole, list) else [whole]
    return [_object(page, f"page {number}") for number, page in enumerate(pages, 1)]


def _lines(data: bytes, first: msgspec.DecodeError) -> list[Any]:
    texts = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    pages: list[Any] = []
    for number, line in texts:
        try:
            pages.append(_decode(line))
        except msgspec.DecodeError as error:
            said = first if number == texts[0][0] or not pages else error
            raise StatementError(f"line {number}: this is not JSON: {said}") from None
    return pages


def _kind(result: dict[str, Any], where: str, *, dated: bool) -> str:
    if dated:
        if "amount" in result:
            return "anthropic_costs"
        if "uncached_input_tokens" in result:
            return "anthropic_usage"
    elif str(result.get("object", "")).startswith("organization.costs."):
        return "openai_costs"
    elif str(result.get("object", "")).startswith("organization.usage."):
        return "openai_usage"
    raise StatementError(f"{where}: neither a line of OpenAI's usage or costs, nor of Anthropic's usage or cost report")


def _openai_usage(result: dict[str, Any], start: int, end: int, where: str) -> Billed:
    return Billed(
        start=start,
        end=end,
        model=_text(result, "model", where),
        requests=_count(result, "num_model_requests", where),
        input=_count(result, "input_tokens", where) or 0,
        cache_read=_count(result, "input_cached_tokens", where),
        output=_count(result, "output_tokens", where) or 0,
    )


def _openai_costs(result: dict[str, Any], start: int, end: int, where: str) -> Billed:
    amount = _object(result.get("amount") or {"value": 0, "currency": "usd"}, f"{where}.amount")
    require_dollars(str(amount.get("currency", "usd")), f"{where}.amount.currency")
    model, item = line_item(_text(result, "line_item", where))
    cost = exact(amount.get("value", 0), f"{where}.amount.value")
    return Billed(start=start, end=end, model=model, item=item, cost=cost)


def _anthropic_usage(result: dict[str, Any], start: int, end: int, where: str) -> Billed:
    created = _object(result.get("cache_creation") or {}, f"{where}.cache_creation")
    written = sum(_count(created, name, f"{where}.cache_creation") or 0 for name in created)
    read = _count(result, "cache_read_input_tokens", where) or 0
    return Billed(
        start=start,
        end=end,
        model=_text(result, "model", where),
        input=(_count(result, "uncached_input_tokens", where) or 0) + read + written,
        cache_read=read,
        cache_write=written,
        output=_count(result, "output_tokens", where) or 0,
    )


def _anthropic_cost(result: dict[str, Any], start: int, end: int, where: str) -> Billed:
    """Its amounts are cents: `123.45` are $1.2345."""
    require_dollars(str(result.get("currency") or "USD"), f"{where}.currency")
    item = _text(result, "token_type", where) or _text(result, "cost_type", where)
    model = _text(result, "model", where)
    if not model and result.get("description"):
        model = item or _text(result, "description", where)
    cost = exact(result.get("amount", 0), f"{where}.amount", _CENTS)
    return Billed(start=start, end=end, model=model, item=item, cost=cost)


_READERS: Final = {
    "openai_usage": _openai_usage,
    "openai_costs": _openai_costs,
    "anthropic_usage": _anthropic_usage,
    "anthropic_costs": _anthropic_cost,
}


def line_item(text: str) -> tuple[str, str]:
    """Return the model and what of it, of a line item of OpenAI: `gpt-4o-2024-08-06, cached input`."""
    model, _, item = text.partition(",")
    return model.strip(), item.strip()


def require_dollars(currency: str, where: str) -> None:
    """Refuse other currencies: the ledger has dollars.

    Raises:
        StatementError: it is not `usd`.
    """
    if currency.strip().lower() not in {"usd", ""}:
        raise StatementError(f"{where}: {currency!r} is not USD; the ledger has US-dollars only")


def exact(value: object, where: str, unit: Decimal = _NANO) -> Nano:
    """Return an amount in nano-dollars, rounded half to even where it is finer.

    Args:
        value: a number, or the text of one.
        where: for the error.
        unit: how many nano-dollars one is.

    Raises:
        StatementError: it is no amount.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise StatementError(f"{where}: {value!r} is not an amount")
    try:
        amount = (
            Decimal(value.strip().removeprefix("$") if isinstance(value, str) else value) * unit
        ).to_integral_value(ROUND_HALF_EVEN)
    except InvalidOperation:
        raise StatementError(f"{where}: {value!r} is not an amount") from None
    if not amount.is_finite() or abs(amount) > 2**61:
        raise StatementError(f"{where}: {value!r} is not an amount that anybody could bill")
    return Nano(int(amount))


def on_the_hour(start: int, end: int, where: str) -> tuple[int, int]:
    """Return a span of time as it is.

    Raises:
        StatementError: it does not begin and end on the hour, or is empty.
    """
    if start % HOUR_MS or end % HOUR_MS or start >= end:
        raise StatementError(f"{where}: a span of time is to begin and end on the hour: export it by hour or by day")
    return start, end


def moment(text: str, where: str) -> int:
    """Return the Unix milliseconds of a date, an RFC 3339 time (UTC without an offset), or Unix seconds.

    Raises:
        StatementError: it is none of these.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and 9 <= len(text) <= 11:
        return int(text) * 1000
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise StatementError(f"{where}: {text!r} is neither a date (2027-01-31) nor a time") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1000


def _iso(bucket: dict[str, Any], where: str) -> tuple[int, int]:
    start = moment(_text(bucket, "starting_at", where), f"{where}.starting_at")
    return on_the_hour(start, moment(_text(bucket, "ending_at", where), f"{where}.ending_at"), where)


def _unix(bucket: dict[str, Any], where: str) -> tuple[int, int]:
    start, end = _count(bucket, "start_time", where), _count(bucket, "end_time", where)
    if start is None or end is None:
        raise StatementError(f"{where}: neither `start_time` and `end_time` nor `starting_at` and `ending_at`")
    return on_the_hour(start * 1000, end * 1000, where)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StatementError(f"{where}: this is not an object")
    return cast("dict[str, Any]", value)


def _buckets(page: dict[str, Any], where: str) -> list[Any]:
    found: Any = page.get("data")
    if not isinstance(found, list):
        raise StatementError(f"{where}: `data` is missing or not an array; this is no report of OpenAI or Anthropic")
    return cast("list[Any]", found)


def _results(bucket: dict[str, Any], where: str) -> list[Any]:
    found: Any = bucket.get("results", bucket.get("result"))
    if not isinstance(found, list):
        raise StatementError(f"{where}: `results` is not an array")
    return cast("list[Any]", found)


def _text(value: dict[str, Any], name: str, where: str) -> str:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise StatementError(f"{where}.{name}: {found!r} is not a text")
    return found or ""


def _count(value: dict[str, Any], name: str, where: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise StatementError(f"{where}.{name}: {found!r} is not a count")
    return found
