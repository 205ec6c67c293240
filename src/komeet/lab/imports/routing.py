"""From placed deployments to routes: a name, its groups, and who is asked when all of them fail."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from komeet.lab.imports.found import Notes, is_written
from komeet.lab.imports.placing import Placed
from komeet.lab.imports.weights import whole

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_MOST_WEIGHT: Final = 1_000_000

Group = dict[str, Any]
_When = tuple[tuple[str, tuple[str, ...]], ...]


def groups_by_name(placed: Sequence[Placed], order: str) -> dict[str, list[Group]]:
    """Return the groups of each name that callers use, in the order in which they are asked.

    Args:
        placed: what is asked under which name.
        order: who goes first in a group of several.
    """
    by_name: dict[str, dict[tuple[int, bool, _When], list[Placed]]] = {}
    for each in placed:
        one = each.deployment
        idle = order == "weighted" and not one.weight
        by_name.setdefault(one.alias, {}).setdefault((one.tier, idle, one.when), []).append(each)
    return {name: [_group(tiers[tier], order) for tier in sorted(tiers)] for name, tiers in by_name.items()}


def with_fallbacks(groups: Mapping[str, list[Group]], fallbacks: Mapping[str, Sequence[str]]) -> dict[str, list[Group]]:
    """Return the same, with the groups of other names behind those of each; what is there already is not repeated."""
    found: dict[str, list[Group]] = {}
    for name, own in groups.items():
        found[name] = list(own)
        for other in fallbacks.get(name, ()):
            there = {candidate["model"] for group in found[name] for candidate in group["candidates"]}
            for group in groups.get(other, ()):
                new = [each for each in group["candidates"] if each["model"] not in there]
                if new:
                    found[name].append({**group, "candidates": new})
    return found


def routes_of(groups: Mapping[str, list[Group]], paths: Mapping[str, str], notes: Notes) -> list[dict[str, Any]]:
    """Return the routes; a name that only says what a provider and its model are called needs none.

    Args:
        groups: what each name stands for.
        paths: where the source has the name.
        notes: takes the names that cannot be routes.
    """
    wanted = {name: own for name, own in groups.items() if _models(own) != [name]}
    asked = {model for own in groups.values() for model in _models(own)}
    found: list[dict[str, Any]] = []
    for name, own in wanted.items():
        path = paths.get(name, "routes")
        if not _NAME.fullmatch(name) or not is_written(name):
            notes.missing(path, f"`{name}` cannot be the name of a route (letters, digits, `_.:/-`); rename it")
        elif name in asked:
            notes.missing(
                path,
                f"`{name}` would be a route, and is what a provider's model is called: it stays that model, and its"
                " other entries are left out",
            )
        else:
            found.append({"name": name, "groups": own})
    return found


def _models(groups: Sequence[Group]) -> list[str]:
    return [candidate["model"] for group in groups for candidate in group["candidates"]]


def _group(members: Sequence[Placed], order: str) -> Group:
    when = {name: list(tags) for name, tags in members[0].deployment.when}
    condition: Group = {"when": when} if when else {}
    if len(members) == 1:
        return {"candidates": [{"model": members[0].model}], **condition}
    weights = whole([each.deployment.weight or Decimal(1) for each in members], _MOST_WEIGHT)
    candidates: list[dict[str, Any]] = [
        {"model": each.model} if weight == 1 else {"model": each.model, "weight": weight}
        for each, weight in zip(members, weights, strict=True)
    ]
    return {"candidates": candidates, "order": order, **condition}
