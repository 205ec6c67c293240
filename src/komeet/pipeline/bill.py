"""What an attempt costs, and what its customer is charged: from the provider's own usage, or from a count of ours.

`agree` says how, once, before anything is held: a price or a rule that changes while the call runs is not its own.
"""

from typing import Final

from msgspec import Struct

from komeet.access.keys import Key
from komeet.canonical.extent import Extent
from komeet.catalog.profile import CHARACTERS
from komeet.core.money import Nano
from komeet.ledger.budget import Span
from komeet.ledger.budget import bounds as bounds_of
from komeet.ledger.free import Free
from komeet.metering.bound import affordable_output, upper_bound
from komeet.metering.charge import ONE, Allowance, Buyer, Terms, terms_of
from komeet.metering.cost import cost
from komeet.pipeline.call import Attempt, Call
from komeet.pipeline.ports import Ports


class Bounds(Struct, frozen=True):
    """The most that an attempt may cost."""

    cost: Nano
    """Of what the provider bills."""
    charge: Nano
    """Of what the customer is charged."""


NOTHING: Final = Bounds(Nano(0), Nano(0))
"""What is held where no bound is known, and none is needed."""


def agree(call: Call, attempt: Attempt, ports: Ports) -> None:
    """Decide how the customer is charged for this attempt: by the rule that is in force now."""
    key, candidate, now = call.known_key, attempt.candidate, ports.clock.unix_ms()
    sale = ports.sales.find(
        Buyer(key=key.id, project=key.project, organisation=key.organisation, tags=key.tags),
        provider=candidate.provider.name,
        model=candidate.model,
        at=now,
    )
    attempt.terms = terms_of(sale, price=candidate.price, listed=candidate.listed)
    if sale is not None and sale.free is not None and attempt.terms is not None:
        attempt.free = _free(sale.free, key, now)


def _free(allowance: Allowance, key: Key, at_ms: int) -> Free:
    """Return what may be free of a call of this key, now: each organisation has its own, and each key that has none."""
    what = "tokens" if allowance.tokens else "charges"
    return Free(
        allowance=f"{key.organisation or key.id} {what} {allowance.per} {allowance.zone}",
        starts_at=bounds_of(Span(allowance.per), allowance.zone, at_ms).start,
        limit=allowance.limit,
        tokens=allowance.tokens,
    )


def bounds(attempt: Attempt, extent: Extent, output_limit: int) -> Bounds | None:
    """Return the most that the attempt may cost, or None where no bound is known; see `metering.bound.upper_bound`."""
    price, terms, profile = attempt.candidate.price, attempt.terms, attempt.candidate.profile
    if terms is None:
        return None
    if price is None:  # a fixed price is charged for what nobody knows the cost of
        charge = terms.bound(extent, profile, output_limit)
        return None if charge is None else Bounds(Nano(0), charge)
    most = upper_bound(extent, profile, price, output_limit)
    charge = most if terms == Terms(price) else terms.bound(extent, profile, output_limit)
    return None if most is None or charge is None else Bounds(most, charge)


def fitting_limit(attempt: Attempt, extent: Extent, room: int) -> int:
    """Return the largest output limit of which neither the cost nor the charge is above `room` nano-dollars."""
    price, terms, profile = attempt.candidate.price, attempt.terms, attempt.candidate.profile
    if price is None or terms is None:
        return 0
    amount = Nano(room)
    return min(affordable_output(extent, profile, price, amount) or 0, terms.affordable(extent, profile, amount) or 0)


def price_usage(attempt: Attempt) -> None:
    """Set cost and charge of the attempt's usage; 0 where no price is known, which its record says."""
    price, terms = attempt.candidate.price, attempt.terms
    if attempt.usage is None:
        return
    if price is not None:
        attempt.cost = attempt.charge = cost(attempt.usage, price, tier=attempt.service_tier)
    if terms is not None and (terms.price is not price or terms.ratio is not ONE):
        attempt.charge = terms.charge(attempt.usage, tier=attempt.service_tier)


def price_version(attempt: Attempt) -> str:
    """Return what an attempt was priced by, for its row: the price, and the rule of its charge where there is one."""
    price, terms = attempt.candidate.price, attempt.terms
    by = ["" if price is None else price.version, "" if terms is None else terms.version]
    return "; ".join(each for each in by if each)


async def estimate_usage(call: Call, attempt: Attempt, ports: Ports) -> None:
    """Count what went in and came out, since the provider did not say; marks the attempt."""
    prompt = call.format.prompt_text(call.known_envelope)
    price, encoding = attempt.candidate.price, attempt.candidate.profile.encoding
    characters = price is not None and price.characters
    messages = 1 if call.format.kind == "generation" else 0
    usage = await ports.estimator.estimate(
        prompt, attempt.output_text, CHARACTERS if characters else encoding, messages=messages
    )
    attempt.usage = usage if characters or attempt.way is None else attempt.way.supplemented(usage)
    attempt.estimated = True
