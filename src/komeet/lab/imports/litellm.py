"""A configuration of LiteLLM's proxy, made into Komeet's."""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from komeet.lab.imports.deployment import Deployment, Place
from komeet.lab.imports.found import Imported, Notes
from komeet.lab.imports.litellm_models import Reading, deployment_of, note_left
from komeet.lab.imports.litellm_settings import (
    Fallback,
    aliases_of,
    failover_of,
    fallbacks_of,
    losses_of,
    order_of,
    seconds_of,
)
from komeet.lab.imports.litellm_tables import GENERAL, ROUTER, SETTINGS, WHOLE
from komeet.lab.imports.node import Node
from komeet.lab.imports.placing import Placed, merged, place_all
from komeet.lab.imports.routing import groups_by_name, routes_of, with_fallbacks
from komeet.lab.imports.source import texts
from komeet.lab.imports.variables import Variables, referred
from komeet.lab.imports.wildcards import offer
from komeet.providers.registry import Row

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PATTERN: Final = frozenset("*?[")


def read(source: object, rows: Mapping[str, Row], owner: Callable[[str], Row | None]) -> Imported:
    """Return what a configuration comes to.

    Args:
        source: the file, as `source.read_yaml` returns it.
        rows: the registry.
        owner: who makes a model that is named without a provider.

    Raises:
        ImportFailed: it has another shape; with the path.
    """
    top, notes = Node({} if source is None else source, ""), Notes()
    variables = Variables({*filter(None, map(referred, texts(source)))})
    router, settings = top.node("router_settings"), top.node("litellm_settings")
    reading = Reading(rows=rows, owner=owner, variables=variables, notes=notes)
    read_all = [deployment_of(entry, path, reading) for entry, path in top.items("model_list")]
    order = order_of(router, notes)
    found = _weighted([each for each in read_all if each is not None])
    seconds = seconds_of(router, settings, notes)
    if seconds is not None:
        found = [each if each.seconds else replace(each, seconds=seconds) for each in found]
    wild = [each for each in found if "*" in each.alias or "*" in each.model]
    entries, placed = place_all([_called(each) for each in found], rows, notes)
    plain = [each for each in placed if not ("*" in each.deployment.alias or "*" in each.deployment.model)]
    for entry in entries:
        entry.models = []
    offer([each for each in placed if each not in plain], entries, notes)
    routes = _routes(plain, order, router, settings, notes)
    _say_names(plain, wild, {str(route["name"]) for route in routes}, notes)
    failover, losses = failover_of(router, settings, notes), losses_of(settings, notes)
    config: dict[str, Any] = {"providers": [entry.written() for entry in entries]}
    config |= {"routes": routes} if routes else {}
    config |= {"failover": failover} if failover else {}
    config |= {"translation": losses} if losses else {}
    config |= _prices(placed, notes)
    config |= _limits(plain, notes)
    _rest(top, router, settings, notes)
    return Imported(config=config, findings=notes.findings(), variables=variables.listed())


def _weighted(found: Sequence[Deployment]) -> list[Deployment]:
    """Give each its weight: the one it has, or else its limits, where one of its name has any."""
    by_name: dict[str, list[Deployment]] = {}
    for each in found:
        by_name.setdefault(each.alias, []).append(each)
    return [_weighed(each, by_name[each.alias]) for each in found]


def _weighed(one: Deployment, all_of_name: Sequence[Deployment]) -> Deployment:
    if any(each.weight > 0 for each in all_of_name):
        return replace(one, weight=max(one.weight, Decimal(0)))
    if any(each.requests_per_minute for each in all_of_name):
        return replace(one, weight=Decimal(one.requests_per_minute or 0))
    if any(each.tokens_per_minute for each in all_of_name):
        return replace(one, weight=Decimal(one.tokens_per_minute or 0))
    return replace(one, weight=Decimal(1))


def _called(each: Deployment) -> Deployment:
    """An address of somebody's own is called as its wildcard is, so that `name/*` goes on to work."""
    prefix, slash, rest = each.alias.partition("/")
    if not slash or rest != "*" or each.model != "*" or each.place.row is not None:
        return each
    place: Place = replace(each.place, wanted=prefix)
    return replace(each, place=place)


def _routes(plain: Sequence[Placed], order: str, router: Node, settings: Node, notes: Notes) -> list[dict[str, Any]]:
    groups = groups_by_name(merged(plain), order)
    paths: dict[str, str] = {}
    for each in plain:
        paths.setdefault(each.deployment.alias, each.deployment.path)
    fallbacks = fallbacks_of(router, settings, tuple(groups), notes)
    aliases = aliases_of(router, notes)
    known: dict[str, list[str]] = {}
    for name, targets in fallbacks.items():
        known[name] = [each.target for each in targets if _is_there(name, each, groups, notes)]
    full = with_fallbacks(groups, known)
    for alias, target in aliases.items():
        path = f"{router.at('model_group_alias')}.{alias}"
        if target not in full:
            notes.missing(path, "stands for a name that is not among the routes")
        elif alias in full:
            notes.missing(path, "is the name of models of its own, which it stays")
        else:
            full[alias] = full[target]
            paths[alias] = path
            notes.maps(path, f"a route of its own, with what `{target}` has now")
    return routes_of(full, paths, notes)


def _is_there(name: str, fallback: Fallback, groups: Mapping[str, object], notes: Notes) -> bool:
    if name not in groups:
        notes.missing(fallback.path, "a fallback of a name that is not among the routes")
        return False
    if fallback.target not in groups:
        notes.missing(fallback.path, f"falls back to `{fallback.target}`, which is not among the routes")
        return False
    notes.add(fallback.kind, fallback.path, fallback.says)
    return True


def _say_names(plain: Sequence[Placed], wild: Sequence[Deployment], routes: Container[str], notes: Notes) -> None:
    for each in plain:
        alias = each.deployment.alias
        if alias in routes or alias == each.model:
            notes.maps(each.deployment.path, f"`{alias}` is answered by `{each.model}`")
    if plain and not wild:
        notes.differs(
            "model_list",
            "callers may also ask `provider/model` for what is not listed: keys with a list of models may not"
            " (`komeet key create --models`)",
        )


def _prices(placed: Sequence[Placed], notes: Notes) -> dict[str, Any]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in placed:
        price = each.deployment.price
        if price is None:
            continue
        if _PATTERN & set(each.deployment.model) - {"*"}:
            notes.missing(each.deployment.path, f"`{each.model}` would be read as a pattern: write its price yourself")
            continue
        key = (each.provider, each.deployment.model)
        before = found.setdefault(key, price)
        if before != price:
            notes.differs(each.deployment.path, f"`{each.model}` has two prices: the first one is written")
        else:
            notes.maps(each.deployment.path, f"`prices` has what `{each.model}` costs")
    written = [{"provider": provider, "model": model, **price} for (provider, model), price in found.items()]
    return {"prices": written} if written else {}


def _limits(plain: Sequence[Placed], notes: Notes) -> dict[str, Any]:
    """Deployments of one provider and model share what they have together."""
    found: dict[str, dict[str, int]] = {}
    for each in plain:
        one = each.deployment
        if _PATTERN & set(one.model) and (one.requests_per_minute or one.tokens_per_minute):
            notes.missing(one.path, f"`{each.model}` would be read as a pattern: write its limits yourself")
            continue
        amounts = {"requests_per_minute": one.requests_per_minute, "tokens_per_minute": one.tokens_per_minute}
        for name, amount in amounts.items():
            if amount:
                limits = found.setdefault(each.model, {})
                limits[name] = min(limits.get(name, 0) + amount, 10**12)
    written = [{"scope": "model", "match": [model], **amounts} for model, amounts in found.items()]
    return {"limits": written} if written else {}


def _rest(top: Node, router: Node, settings: Node, notes: Notes) -> None:
    environment = top.node("environment_variables")
    for name, path in list(environment.left()):
        environment.take(name)
        if _VARIABLE.fullmatch(name):
            notes.differs(path, "not repeated: set it in the environment of `komeet serve`, where it is needed")
        else:
            notes.unknown(path)
    note_left(router, ROUTER, notes)
    note_left(settings, SETTINGS, notes)
    note_left(top.node("general_settings"), GENERAL, notes)
    note_left(top, WHOLE, notes)
