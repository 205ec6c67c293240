"""The settings of LiteLLM beside its list of models: order, retries, deadlines, fallbacks, aliases."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from msgspec import Struct

from komeet.lab.imports.found import ImportFailed, Kind, Notes
from komeet.lab.imports.node import Node, kind_of

_BY_CALLS: Final = "by calls under way, not by tokens of the minute; limits are kept apart"
_STRATEGIES: Final[tuple[tuple[str, str, Kind, str], ...]] = (
    ("simple-shuffle", "weighted", "maps", "by chance, in proportion to the weights"),
    ("least-busy", "busy", "maps", "who has the fewest calls under way"),
    ("latency-based-routing", "latency", "maps", "who has been quickest to answer"),
    ("cost-based-routing", "cheapest", "maps", "whose price for the call is lowest"),
    ("usage-based-routing", "busy", "differs", _BY_CALLS),
    ("usage-based-routing-v2", "busy", "differs", _BY_CALLS),
)
_MOST_ATTEMPTS: Final = 20
_LONGER: Final = "a further group of the route, where a prompt is too long: it is asked for other failures too"


class Fallback(Struct, frozen=True):
    """A name that is asked when another one fails, and where the source says so."""

    target: str
    path: str
    kind: Kind = "maps"
    says: str = "a further group of the route"


def order_of(router: Node, notes: Notes) -> str:
    """Return who goes first in a group of several."""
    strategy = router.text("routing_strategy")
    path = router.at("routing_strategy")
    if strategy is None:
        return "weighted"
    for name, order, kind, says in _STRATEGIES:
        if name == strategy:
            notes.add(kind, path, f"`order: {order}`: {says}")
            return order
    notes.missing(path, "no such order; `weighted` is written instead")
    return "weighted"


def failover_of(router: Node, settings: Node, notes: Notes) -> dict[str, Any]:
    """Return how much is tried, and when somebody is left alone."""
    failover: dict[str, Any] = {}
    retries = _either(router, settings, "num_retries")
    if retries is not None:
        attempts = min(int(retries[0]) + 1, _MOST_ATTEMPTS)
        failover["attempts"] = attempts
        notes.differs(retries[1], f"`failover.attempts: {attempts}`, for a call in all, those at fallbacks included")
    fails, seconds = _either(router, settings, "allowed_fails"), _either(router, settings, "cooldown_time")
    breaker: dict[str, Any] = {}
    if fails is not None:
        breaker["failures"] = min(int(fails[0]) + 1, 10**6)
        notes.differs(fails[1], "`failover.breaker.failures`: failures in a row, not of a minute")
    if seconds is not None and seconds[0] > 0:
        breaker |= dict.fromkeys(("seconds", "longest_seconds"), min(seconds[0], Decimal(86_400)))
        notes.differs(seconds[1], "`failover.breaker.seconds`: after it one call finds out, before others follow")
    return failover | ({"breaker": breaker} if breaker else {})


def seconds_of(router: Node, settings: Node, notes: Notes) -> Decimal | None:
    """Return how long any provider may take to say something; None: nobody says."""
    wanted, requested = router.number("timeout"), settings.number("request_timeout")
    if requested is not None:
        notes.maps(settings.at("request_timeout"), "`deadlines` of each provider: `first_byte` and `idle`")
    if wanted is not None:
        notes.maps(router.at("timeout"), "`deadlines` of each provider: `first_byte` and `idle`")
    found = wanted or requested
    return min(found, Decimal(86_400)) if found else None


def losses_of(settings: Node, notes: Notes) -> dict[str, Any]:
    """Return what becomes of parameters that a model does not have."""
    drop = settings.flag("drop_params")
    if drop is None:
        return {}
    losses = "adapt" if drop else "refuse"
    notes.maps(settings.at("drop_params"), f"`translation.losses: {losses}`")
    return {"losses": losses}


def fallbacks_of(router: Node, settings: Node, names: Sequence[str], notes: Notes) -> dict[str, list[Fallback]]:
    """Return who is asked when a name fails, in order.

    Args:
        router: `router_settings`.
        settings: `litellm_settings`.
        names: the names that there are, for fallbacks of everything.
        notes: takes what differs.
    """
    found: dict[str, list[Fallback]] = {}
    general: list[Fallback] = []
    for node in (router, settings):
        for name, targets in _pairs(node, "fallbacks"):
            (general if name == "*" else found.setdefault(name, [])).extend(targets)
        general += _names(node.take("default_fallbacks"), node.at("default_fallbacks"))
        for name, targets in _pairs(node, "context_window_fallbacks"):
            found.setdefault(name, []).extend(Fallback(each.target, each.path, "differs", _LONGER) for each in targets)
        if node.take("content_policy_fallbacks"):
            notes.missing(node.at("content_policy_fallbacks"), "what a content filter refuses is never tried elsewhere")
    for name in names:
        if name not in found and general:
            found[name] = [each for each in general if each.target != name]
    return found


def aliases_of(router: Node, notes: Notes) -> dict[str, str]:
    """Return names that stand for other names."""
    node = router.node("model_group_alias")
    found: dict[str, str] = {}
    for alias, path in list(node.left()):
        value = node.take(alias)
        if isinstance(value, dict):
            below = Node(cast("object", value), path)
            target = below.text("model")
            if below.flag("hidden"):
                notes.missing(below.at("hidden"), "routes are listed in /v1/models")
            if target is None:
                raise ImportFailed(f"{below.at('model')}: needed")
        else:
            target = node.text(alias)
        if target is not None:
            found[alias] = target
    return found


def _either(router: Node, settings: Node, key: str) -> tuple[Decimal, str] | None:
    first, second = router.number(key), settings.number(key)
    if first is not None:
        return first, router.at(key)
    return None if second is None else (second, settings.at(key))


def _pairs(node: Node, key: str) -> list[tuple[str, list[Fallback]]]:
    found: list[tuple[str, list[Fallback]]] = []
    for entry, path in node.items(key):
        if not isinstance(entry, dict):
            raise ImportFailed(f"{path}: expected a mapping from a name to its fallbacks, got {kind_of(entry)}")
        for name, targets in cast("Mapping[str, object]", entry).items():
            found.append((name, _names(targets, f"{path}.{name}")))
    return found


def _names(value: object, path: str) -> list[Fallback]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ImportFailed(f"{path}: expected a list of names, got {kind_of(value)}")
    found: list[Fallback] = []
    for index, entry in enumerate(cast("list[object]", value)):
        if not isinstance(entry, str):
            raise ImportFailed(f"{path}[{index}]: expected a name, got {kind_of(entry)}")
        found.append(Fallback(entry, f"{path}[{index}]"))
    return found
