"""From deployments to providers: each place once, under a name of its own."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from komeet.lab.imports.addresses import as_name, is_in_the_clear, name_of, name_of_variable
from komeet.lab.imports.deployment import Deployment, Place
from komeet.lab.imports.found import Notes
from komeet.lab.imports.weights import whole
from komeet.providers.registry import Row

_OWN_CANNOT = "a second one of {title} needs an address of its own, and has none; it is left out"


class Entry(Struct, kw_only=True, omit_defaults=True):
    """A provider as the file says it."""

    name: str
    base_url: str | None = None
    api_key: str | None = None
    credentials: list[dict[str, Any]] = []
    aws: dict[str, str] = {}
    google: dict[str, str] = {}
    api_version: str | None = None
    allow_http: bool = False
    models: list[str] | None = None
    prices_of: str | None = None
    formats: list[str] = []
    headers: dict[str, str] = {}
    deadlines: dict[str, Any] = {}

    def written(self) -> dict[str, Any]:
        """Return it as the file has it."""
        said: dict[str, Any] = to_builtins(self, builtin_types=(Decimal,))
        return said


class Placed(Struct, frozen=True, kw_only=True):
    """A deployment, and the provider that it has become."""

    deployment: Deployment
    provider: str

    @property
    def model(self) -> str:
        """What a candidate of a route says."""
        return f"{self.provider}/{self.deployment.model}"


class _Slot(Struct, kw_only=True):
    """One provider in the making."""

    place: Place
    keys: dict[str, Decimal]
    deployments: list[Deployment]


def place_all(
    deployments: Sequence[Deployment], rows: Mapping[str, Row], notes: Notes
) -> tuple[list[Entry], list[Placed]]:
    """Return the providers, and the deployments that have one.

    Args:
        deployments: the models of the source.
        rows: the registry: an address of somebody's own is not called like one of them.
        notes: takes what differs.
    """
    slots = [slot for same in _by_place(deployments) for slot in _by_key(same)]
    slots.sort(key=lambda slot: slot.place.base_url is not None)
    names: set[str] = set()
    entries: list[Entry] = []
    placed: list[Placed] = []
    for slot in slots:
        entry = _entry(slot, names, rows, notes)
        if entry is None:
            continue
        names.add(entry.name)
        entries.append(entry)
        placed += [Placed(deployment=each, provider=entry.name) for each in slot.deployments]
    order = {id(each): index for index, each in enumerate(deployments)}
    return entries, sorted(placed, key=lambda each: order[id(each.deployment)])


def _by_place(deployments: Sequence[Deployment]) -> list[list[Deployment]]:
    found: dict[tuple[object, ...], list[Deployment]] = {}
    for each in deployments:
        found.setdefault(each.place.identity, []).append(each)
    return list(found.values())


def _by_key(same: Sequence[Deployment]) -> list[_Slot]:
    """Keys that are for the same models take turns at one provider; others must not be mixed, and get one each."""
    by_keys: dict[tuple[str, ...], list[Deployment]] = {}
    for each in same:
        by_keys.setdefault(each.keys, []).append(each)
    if len(by_keys) > 1 and all(by_keys) and len({frozenset(map(_offer, each)) for each in by_keys.values()}) == 1:
        keys: dict[str, Decimal] = {}
        for given, of_key in by_keys.items():
            weight = max(each.weight for each in of_key)
            keys |= {key: max(weight, keys.get(key, Decimal(0))) for key in given}
        return [_Slot(place=same[0].place, keys=keys, deployments=list(same))]
    return [
        _Slot(place=of_key[0].place, keys=dict.fromkeys(given, Decimal(1)), deployments=of_key)
        for given, of_key in by_keys.items()
    ]


def _offer(each: Deployment) -> tuple[object, ...]:
    return (each.alias, each.model, each.tier, each.when)


def _entry(slot: _Slot, names: set[str], rows: Mapping[str, Row], notes: Notes) -> Entry | None:
    place = slot.place
    paths = [each.path for each in slot.deployments]
    row = place.row
    if row is not None and row.name not in names:
        entry = Entry(name=row.name, base_url=place.base_url, api_version=place.api_version)
        entry.aws, entry.google = dict(place.aws), dict(place.google)
    elif row is None:
        assert place.base_url is not None
        entry = Entry(name=_free(_wanted(place), names, rows), base_url=place.base_url)
    else:
        entry = _another(place, row, names, rows)
        if entry is None:
            for path in paths:
                notes.missing(path, _OWN_CANNOT.format(title=row.title))
            return None
        for path in paths:
            notes.differs(
                path,
                f"a second provider of {row.title} becomes `{entry.name}`, with its formats and prices, and without"
                " what else Komeet knows of it (dialect, dated API)",
            )
    entry.headers = dict(place.headers)
    if entry.base_url is not None and not entry.base_url.startswith("${") and is_in_the_clear(entry.base_url):
        entry.allow_http = True
        notes.differs(paths[0], f"`{entry.name}` is asked over http: keys and prompts go in the clear (`allow_http`)")
    _say_keys(entry, slot)
    _say_deadlines(entry, slot, notes)
    return entry


def _another(place: Place, row: Row, names: set[str], rows: Mapping[str, Row]) -> Entry | None:
    """Return a provider that is asked as the row's, at an address of its own."""
    if row.auth not in {"bearer", "optional"} or (place.base_url is None and not row.placed):
        return None
    base_url = place.base_url or row.base_url
    formats = [name for name in row.formats if name not in row.under]
    return Entry(name=_free(f"{row.name}-2", names, rows), base_url=base_url, formats=formats, prices_of=row.price_id)


def _wanted(place: Place) -> str:
    if place.wanted is not None:
        return as_name(place.wanted)
    assert place.base_url is not None
    url = place.base_url
    return name_of_variable(url[2:-1]) if url.startswith("${") else name_of(url)


def _free(wanted: str, names: set[str], rows: Mapping[str, Row]) -> str:
    if wanted not in names and wanted not in rows:
        return wanted
    stem = wanted.removesuffix("-2")
    number = 2
    while f"{stem}-{number}" in names or f"{stem}-{number}" in rows:
        number += 1
    return f"{stem}-{number}"


def _say_keys(entry: Entry, slot: _Slot) -> None:
    if len(slot.keys) > 1:
        weights = whole(list(slot.keys.values()), 1000)
        entry.credentials = [
            {"api_key": key} if weight == 1 else {"api_key": key, "weight": weight}
            for key, weight in zip(slot.keys, weights, strict=True)
        ]
    elif slot.keys:
        (entry.api_key,) = slot.keys


def _say_deadlines(entry: Entry, slot: _Slot, notes: Notes) -> None:
    given = {each.path: each.seconds for each in slot.deployments if each.seconds}
    if not given:
        return
    longest = min(max(given.values()), Decimal(86_400))
    entry.deadlines = {"first_byte": longest, "idle": longest}
    if len(set(given.values())) > 1 or len(given) < len(slot.deployments):
        for path in given:
            notes.differs(path, f"deadlines are those of a provider: `{entry.name}` has {longest} s for all its models")


def merged(placed: Sequence[Placed]) -> list[Placed]:
    """Return the same with deployments of one name, provider and model made into one, which has all their weight."""
    found: dict[tuple[object, ...], Placed] = {}
    for each in placed:
        key = (each.deployment.alias, each.model, each.deployment.tier, each.deployment.when)
        before = found.get(key)
        if before is None:
            found[key] = each
            continue
        one, other = before.deployment, each.deployment
        found[key] = Placed(provider=each.provider, deployment=replace(one, weight=one.weight + other.weight))
    return list(found.values())
