"""A database, or an export of channels, of New API or One API, made into Komeet's configuration."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from komeet.lab.imports.channels import Family, Reading, deployments_of, types_of
from komeet.lab.imports.deployment import Deployment
from komeet.lab.imports.found import Imported, ImportFailed, Notes
from komeet.lab.imports.new_api_prices import sales_of
from komeet.lab.imports.node import kind_of, number_of
from komeet.lab.imports.placing import Entry, Placed, merged, place_all
from komeet.lab.imports.routing import groups_by_name, routes_of
from komeet.lab.imports.variables import Variables
from komeet.providers.registry import Row

_DEFAULT: Final = "default"
_MOST_ATTEMPTS: Final = 20
_PRICED: Final = (
    *("ModelRatio", "CompletionRatio", "ModelPrice", "CacheRatio", "CreateCacheRatio", "GroupRatio"),
    *("QuotaPerUnit", "RetryTimes"),
)
_SAID: Final = (
    ("SMTP*", "no mail is sent"),
    ("*OAuth*", "no sign-in of other sites"),
    ("GitHub*", "no sign-in of other sites"),
    ("WeChat*", "no sign-in of other sites"),
    ("Telegram*", "no sign-in of other sites"),
    ("Turnstile*", "no sign-up: people are made by `komeet user`"),
    ("*Register*", "no sign-up: people are made by `komeet user`"),
    ("Quota*", "credits of new people are given by `komeet credit`"),
    ("*TopUp*", "payments come by a signed webhook: `payments` (docs/budgets.md)"),
    ("Stripe*", "payments come by a signed webhook: `payments` (docs/budgets.md)"),
    ("Creem*", "payments come by a signed webhook: `payments` (docs/budgets.md)"),
    ("Epay*", "payments come by a signed webhook: `payments` (docs/budgets.md)"),
    ("Pay*", "payments come by a signed webhook: `payments` (docs/budgets.md)"),
    ("Channel*", "who fails is left alone for seconds: `failover.breaker`"),
    ("Automatic*", "who fails is left alone for seconds: `failover.breaker`"),
    ("ModelRequestRateLimit*", "limits of keys and users: `limits` (docs/limits.md)"),
    ("*Sensitive*", "no filter of words"),
    ("ImageRatio", "write prices of images and sound yourself: `sales[].price`"),
    ("Audio*Ratio", "write prices of images and sound yourself: `sales[].price`"),
    ("GroupGroupRatio", "each key has one price: `sales`, by tag"),
    ("UserUsableGroups", "a key has the tags that it is made with"),
    ("*Enabled", "a switch of what Komeet does not have, or always does"),
    ("Mj*", "no such service"),
    ("*.*", "a setting of a part that Komeet does not have"),
)
_ELSEWHERE: Final = (
    ("abilities", "follows from the channels"),
    ("tokens", "keys of callers are not taken over: `komeet key create` makes new ones"),
    ("users", "people are made anew: `komeet org`, `project`, `user` (docs/budgets.md)"),
    ("redemptions", "vouchers are made anew: `komeet voucher`"),
    ("logs", "what was called and spent there stays there"),
)


class Dump(Struct, frozen=True, kw_only=True):
    """What a database or an export has."""

    channels: Sequence[object]
    options: Mapping[str, str] = {}
    counts: Mapping[str, int] = {}
    """Rows of the other tables."""


def dump_of(document: object) -> Dump:
    """Return what an export in JSON has: a list of channels, or an answer of the API, or both tables by name.

    Raises:
        ImportFailed: it is none of these.
    """
    value = document
    if isinstance(value, dict):
        whole = cast("Mapping[str, object]", value)
        if "channels" in whole:
            return Dump(channels=_entries(whole["channels"]), options=options_of(whole.get("options")))
        value = whole.get("data")
        if isinstance(value, dict):
            value = cast("Mapping[str, object]", value).get("items")
    if not isinstance(value, list):
        raise ImportFailed("the file: expected a list of channels, or a mapping with `channels` or `data`")
    return Dump(channels=cast("list[object]", value))


def read(dump: Dump, family: Family, rows: Mapping[str, Row]) -> Imported:
    """Return what a database comes to.

    Args:
        dump: its tables.
        family: whose they are.
        rows: the registry.

    Raises:
        ImportFailed: something in it has another shape; with the path.
    """
    notes = Notes()
    variables = Variables(name for row in rows.values() for name in row.key_env)
    reading = Reading(family=family, types=types_of(rows, family), variables=variables, notes=notes)
    read_all = [deployments_of(channel, index, reading) for index, channel in enumerate(dump.channels)]
    found = _for_groups(read_all, notes)
    entries, placed = place_all(found, rows, notes)
    routes = _routes(placed, entries, notes)
    models: dict[str, list[str]] = {}
    for each in placed:
        names = models.setdefault(each.deployment.alias, [])
        if each.deployment.model not in names:
            names.append(each.deployment.model)
    sales = sales_of(dump.options, models, notes)
    failover = _failover(dump.options, notes)
    config: dict[str, Any] = {"providers": [entry.written() for entry in entries]}
    config |= {"routes": routes} if routes else {}
    config |= {"failover": failover} if failover else {}
    config |= {"sales": sales} if sales else {}
    _say_rest(dump, notes)
    return Imported(config=config, findings=notes.findings(), variables=variables.listed())


def _entries(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise ImportFailed(f"channels: expected a list, got {kind_of(value)}")
    return cast("list[object]", value)


def options_of(value: object) -> dict[str, str]:
    """Return options, rows of key and value or a mapping, as text by name; raises ImportFailed if they are neither."""
    if value is None:
        return {}
    if isinstance(value, list):
        found: dict[str, str] = {}
        for index, entry in enumerate(cast("list[object]", value)):
            if not isinstance(entry, dict):
                raise ImportFailed(f"options[{index}]: expected a mapping with key and value")
            pair = cast("Mapping[str, object]", entry)
            found[str(pair.get("key"))] = _text(pair.get("value"))
        return found
    if not isinstance(value, dict):
        raise ImportFailed(f"options: expected a mapping, got {kind_of(value)}")
    return {name: _text(each) for name, each in cast("Mapping[str, object]", value).items()}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _for_groups(read_all: Sequence[tuple[list[Deployment], tuple[str, ...]]], notes: Notes) -> list[Deployment]:
    """Give each deployment its condition: a group of callers there is a tag of keys here, and the default is none."""
    used = list(dict.fromkeys(group for found, groups in read_all if found for group in groups))
    made: list[Deployment] = []
    for found, groups in read_all:
        others = tuple(group for group in used if group not in groups)
        for each in found:
            if not others:
                made.append(each)
            elif _DEFAULT in groups:
                made.append(replace(each, when=(("without_tags", others),)))
            else:
                made.append(replace(each, when=(("tags", groups),)))
    if len(used) > 1:
        notes.differs(
            "channels[].group",
            "groups of callers are tags of keys (`komeet key create --tag`), and a key without one is of `default`; a"
            " key that may ask any model (no `--models`) can also name `provider/model`, past the routes",
        )
    return made


def _routes(placed: Sequence[Placed], entries: Sequence[Entry], notes: Notes) -> list[dict[str, Any]]:
    """Return the routes; models of one channel under their own name are what its provider offers."""
    one = merged(placed)
    count: dict[str, int] = {}
    for each in one:
        count[each.deployment.alias] = count.get(each.deployment.alias, 0) + 1
    names = {entry.name for entry in entries}
    offers: dict[str, list[str]] = {entry.name: [] for entry in entries}
    routed: list[Placed] = []
    for each in one:
        alias = each.deployment.alias
        simple = count[alias] == 1 and alias == each.deployment.model and not each.deployment.when
        if simple and not set(alias) & set("*?[") and alias.partition("/")[0] not in names:
            offers[each.provider].append(alias)
        else:
            routed.append(each)
    for entry in entries:
        entry.models = offers[entry.name]
    paths: dict[str, str] = {}
    for each in placed:
        paths.setdefault(each.deployment.alias, each.deployment.path)
        notes.maps(each.deployment.path, f"the provider `{each.provider}`")
    return routes_of(groups_by_name(routed, "weighted"), paths, notes)


def _failover(options: Mapping[str, str], notes: Notes) -> dict[str, Any]:
    retries = number_of(options.get("RetryTimes"), "options.RetryTimes")
    if retries is None:
        return {}
    attempts = min(int(retries) + 1, _MOST_ATTEMPTS)
    notes.maps("options.RetryTimes", f"`failover.attempts: {attempts}`")
    return {"attempts": attempts}


def _say_rest(dump: Dump, notes: Notes) -> None:
    for name, value in dump.options.items():
        path = f"options.{name}"
        if name in _PRICED or not value:
            continue
        says = next((says for pattern, says in _SAID if fnmatchcase(name, pattern)), None)
        if says is None:
            notes.unknown(path)
        else:
            notes.missing(path, says)
    for table, count in dump.counts.items():
        if not count:
            continue
        says = next((says for name, says in _ELSEWHERE if name == table), None)
        if says is None:
            notes.unknown(f"tables.{table}")
        else:
            notes.missing(f"tables.{table}", f"{count:,} rows: {says}")
