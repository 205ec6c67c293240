"""Lines of an export: what was used in an hour by one key of one model, plainly or in the columns of FOCUS.

FOCUS is the FinOps Open Cost and Usage Specification, version 1.2 (https://focus.finops.org). `BilledCost` is what the
provider bills; what customers are charged is beside it, in `x_Charge`. Prices differ by class of token, and so a line,
which sums all classes, has no unit price. Amounts are exact decimals of dollars.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from komeet.canonical.usage import Usage
from komeet.core.money import dollars
from komeet.ledger.budget import Span, bounds

Cell: TypeAlias = str | int | Decimal | bool | None
Line: TypeAlias = Mapping[str, Cell]

_HOUR_MS: Final = 3_600_000


class Hour(Struct, frozen=True, kw_only=True):
    """The sums of the attempts of one key and model, of the same tags, that ended in an hour."""

    hour: int
    """Its start, in Unix milliseconds."""
    key_id: str
    key: str
    user: str = ""
    project_id: str = ""
    project: str = ""
    organisation_id: str = ""
    organisation: str = ""
    provider: str
    model: str
    tags: tuple[str, ...] = ()
    settled: int = 0
    voided: int = 0
    orphans: int = 0
    estimated: int = 0
    unpriced: int = 0
    usage: Usage = Usage()
    cost: int = 0
    """Nano-dollars, as the others."""
    charge: int = 0
    overrun: int = 0
    free: int = 0
    """What customers would be charged besides, without free allowances."""


def plain(hour: Hour) -> dict[str, Cell]:
    """Return the line under Komeet's own names."""
    return {
        "hour": _time(hour.hour),
        "provider": hour.provider,
        "model": hour.model,
        "key_id": hour.key_id,
        "key": hour.key,
        "user": hour.user,
        "project": hour.project,
        "organisation": hour.organisation,
        "tags": ",".join(hour.tags),
        "calls": hour.settled + hour.orphans,
        "voided": hour.voided,
        "orphans": hour.orphans,
        "estimated": hour.estimated,
        "unpriced": hour.unpriced,
        **{field: getattr(hour.usage, field) for field in Usage.__struct_fields__},
        "cost": amount(hour.cost),
        "charge": amount(hour.charge),
        "free": amount(hour.free),
        "overrun": amount(hour.overrun),
    }


def focus(hour: Hour) -> dict[str, Cell]:
    """Return the line in the columns of FOCUS 1.2, and `x_` columns for what it has none for.

    The billing account is the organisation (`komeet` where a key has none), the sub-account the project, the resource
    the key, the SKU `provider/model`.
    """
    month = bounds(Span.MONTH, "UTC", hour.hour)
    cost, tokens = amount(hour.cost), hour.usage.input + hour.usage.output
    name = f"{hour.provider}/{hour.model}"
    return {
        "BilledCost": cost,
        "BillingAccountId": hour.organisation_id or "komeet",
        "BillingAccountName": hour.organisation or None,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _time(month.end or 0),
        "BillingPeriodStart": _time(month.start),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"Calls of {name}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _time(hour.hour + _HOUR_MS),
        "ChargePeriodStart": _time(hour.hour),
        "ConsumedQuantity": tokens,
        "ConsumedUnit": "Tokens",
        "ContractedCost": cost,
        "ContractedUnitPrice": None,
        "EffectiveCost": cost,
        "InvoiceIssuerName": hour.provider,
        "ListCost": cost,
        "ListUnitPrice": None,
        "PricingCategory": "Standard",
        "PricingQuantity": tokens,
        "PricingUnit": "Tokens",
        "ProviderName": hour.provider,
        "PublisherName": hour.provider,
        "RegionId": None,
        "RegionName": None,
        "ResourceId": hour.key_id,
        "ResourceName": hour.key,
        "ResourceType": "API key",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": hour.model,
        "ServiceSubcategory": "Generative AI",
        "SkuId": name,
        "SkuPriceId": None,
        "SubAccountId": hour.project_id or None,
        "SubAccountName": hour.project or None,
        "Tags": _tags(hour.tags),
        "x_Calls": hour.settled + hour.orphans,
        "x_CachedInputTokens": hour.usage.cache_read,
        "x_Charge": amount(hour.charge),
        "x_EstimatedCalls": hour.estimated,
        "x_Free": amount(hour.free),
        "x_InputTokens": hour.usage.input,
        "x_Orphans": hour.orphans,
        "x_OutputTokens": hour.usage.output,
        "x_UnpricedCalls": hour.unpriced,
        "x_User": hour.user or None,
    }


def amount(nano: int) -> Decimal:
    """Return nano-dollars as dollars, exactly."""
    return Decimal(dollars(nano))


def csv_cell(cell: Cell) -> str:
    """Return what stands in a cell of a CSV file.

    A text that a spreadsheet would take for a formula has an apostrophe before it: names of keys and tags are written
    by people, and models by callers.
    """
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case int():
            return str(cell)
        case Decimal():
            return f"{cell:f}"
        case str():
            return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def _tags(tags: tuple[str, ...]) -> str:
    """A JSON object, as FOCUS has tags: `team=web` is a value under a name, and a tag without `=` is `true`."""
    named = {name: value if equals else True for name, equals, value in (tag.partition("=") for tag in tags)}
    return msgspec.json.encode(named, order="sorted").decode()


def _time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
