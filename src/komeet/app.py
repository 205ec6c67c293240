"""The composition root: the only module that puts concrete rooms together."""

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Protocol

from komeet.api.application import Application
from komeet.api.cors import Cors
from komeet.api.payments import Payments
from komeet.api.surfaces import routes
from komeet.canonical.usage import Usage
from komeet.catalog import capabilities, lifecycle, profiles
from komeet.config.caching import policy_of as caching_of
from komeet.config.limits import rules_of
from komeet.config.load import ConfigError
from komeet.config.models import leading, lifecycle_of, policy_of
from komeet.config.own import own_prices
from komeet.config.placement import placements_of
from komeet.config.prices import load_book
from komeet.config.routes import breaker_of, retry_of, routes_of
from komeet.config.sales import sales_of
from komeet.config.schema import Config
from komeet.config.schema import Server as ServerConfig
from komeet.config.tls import tls_files
from komeet.config.webhook import webhook_of
from komeet.core.clock import Clock, SystemClock
from komeet.core.http import Origin, TlsFiles
from komeet.core.secrets import Secret
from komeet.local.embedded import EmbeddedModels
from komeet.metering.count import TokenCounter
from komeet.net.certificates import CertificateError, Certificates
from komeet.net.client import Client
from komeet.net.forwarded import FORWARDED, X_FORWARDED_FOR, TrustedProxies
from komeet.net.keyring import Keyring
from komeet.net.limits import ClientLimits, ServerLimits
from komeet.net.media import PublicMedia
from komeet.net.proxies import Proxies, ProxyError, from_environment
from komeet.net.server import Entrance, Serving, Triage
from komeet.net.stalls import StallWatch
from komeet.net.tasks import Tasks
from komeet.net.trust import TlsFileError, Trust
from komeet.net.turns import Turns
from komeet.pipeline.admission import Admission
from komeet.pipeline.credentials import Credentials
from komeet.pipeline.flights import Cache
from komeet.pipeline.limiting import Limiter
from komeet.pipeline.ports import Policy, Ports
from komeet.providers.provider import Provider
from komeet.routing.directory import Directory, Facts
from komeet.routing.health import HealthBook
from komeet.routing.learned import Learned
from komeet.routing.retry import Retries
from komeet.routing.route import Router
from komeet.store.bookkeeper import Bookkeeper
from komeet.store.database import Store
from komeet.store.engine import Databases
from komeet.store.payments import LedgerPayments
from komeet.store.response_cache import ResponseCache
from komeet.store.retention import Keep, Retention
from komeet.telemetry.crossings import Crossings
from komeet.telemetry.metrics import Metrics
from komeet.telemetry.unpriced import UnpricedAlarm
from komeet.wire.formats import FORMATS

_log = logging.getLogger("komeet")


class Counting:
    """Estimates usage in a thread: the first count loads half a second of tables.

    One at a time: counts that overlap would load the tables several times at once, and each keeps some 15 MB for good.
    """

    def __init__(self) -> None:
        self._counter: Final = TokenCounter()
        self._turn: Final = asyncio.Lock()

    async def estimate(self, prompt: str, output: str, encoding: str, *, messages: int = 1) -> Usage:
        async with self._turn:
            return await asyncio.to_thread(self._counter.estimate, prompt, output, encoding=encoding, messages=messages)


def directory(data_dir: Path, providers: tuple[Provider, ...], config: Config) -> Directory[Provider]:
    """Return the models that these providers offer, with prices and profiles."""
    try:
        ends = lifecycle_of(config.models, lifecycle.load())
    except ValueError as error:
        raise ConfigError(str(error)) from None
    facts = Facts(lifecycle=ends, capabilities=capabilities.load(), retired=policy_of(config.models))
    return Directory(providers, load_book(data_dir), profiles.load(), SystemClock(), own_prices(config), facts)


def trust_of(config: Config, providers: tuple[Provider, ...]) -> Trust:
    """Return what TLS to these providers is made with, each file read.

    Raises:
        ConfigError: one of the files cannot be used.
    """
    common = tls_files(config.connections.tls, "connections.tls")
    trust = Trust(common)
    named = [(one.origin.tls, one.name) for one in providers if one.origin.scheme == "https"]
    if common is not None or any(files is None for files, _ in named):
        named.insert(0, (None, "connections"))
    for files, path in named:
        try:
            trust.context(files)  # now: a mistake should not wait for the first call, nor the call for this
        except TlsFileError as error:
            raise ConfigError(f"{path}.tls.{error}") from None
    return trust


def proxies_of(config: Config, environment: Mapping[str, str]) -> Proxies:
    """Return the proxies that are used; raises ConfigError where a variable names one that cannot be."""
    if config.connections.proxies == "none":
        return Proxies()
    try:
        return from_environment(environment)
    except ProxyError as error:
        raise ConfigError(str(error)) from None


def databases_of(config: Config) -> Databases:
    """Return where the databases are, as the configuration says it."""
    return Databases(
        ledger=config.ledger.database,
        requests=config.request_log.database,
        cache=config.cache.database,
        caching=caching_of(config.cache, config.routes).possible,
        key_grace=config.ledger.key_grace_seconds,
    )


class Team(Protocol):
    """The supervisor of several processes that serve together, as one of them sees it."""

    @property
    def session(self) -> str:
        """The name of this process in the ledger."""
        ...

    async def origin(self, model: str) -> tuple[Origin, Secret]:
        """Return where an embedded model answers; see `pipeline.ports.Embedded`."""
        ...

    async def exposition(self) -> bytes:
        """Return the sums of what all of them have counted, in Prometheus' text format."""
        ...


class Gateway:
    """One server process: everything that it holds, from start to stop."""

    def __init__(
        self, config: Config, data_dir: Path, providers: tuple[Provider, ...], team: Team | None = None
    ) -> None:
        """Open the data directory: with the others of a team, or else alone, and settle what a crash left open.

        Raises:
            StoreError: it cannot be used; the message says why and what to do.
            ConfigError: the installed prices, a file of TLS or a proxy cannot be used.
        """
        self._config: Final = config
        self._trust: Final = trust_of(config, providers)
        self._proxies: Final = proxies_of(config, os.environ)
        self._clock: Final = SystemClock()
        self._certificates: Final = _certificates(config.server, self._clock)
        self._team: Final = team
        self._store: Final = _open_store(config, data_dir, self._clock, team)
        try:
            self.directory: Final = directory(data_dir, providers, config)
            self.directory.listing()  # so that the first who asks for it, or mistypes a name, keeps nobody waiting
        except BaseException:
            self._store.close()
            raise
        self._books: Final = (
            Bookkeeper(self._store.files.ledger, self._clock, data_dir / "komeet.books")
            if config.ledger.watch_books
            else None
        )
        self._retention: Final = Retention(
            self._store.files.requests,
            self._clock,
            Keep(days=config.request_log.keep_days, bodies_days=config.request_log.keep_bodies_days),
        )
        self._answers: Final = _answers(config, self._store, self._clock)
        self._tasks: Final = Tasks()
        self._stalls: Final = StallWatch(self._clock)
        self.metrics: Final = Metrics()
        self._embedded: Final = (
            EmbeddedModels(data_dir, clock=self._clock, tasks=self._tasks, threads=config.embedded.threads)
            if config.embedded.enabled and team is None
            else None
        )

    async def start(self) -> Serving:
        """Return what the server's connections share."""
        self._client = Client(
            self._clock, limits=_client_limits(self._config), trust=self._trust, proxies=self._proxies
        )
        admission = Admission(self._config.server.max_calls, self._config.server.max_calls_per_key)
        limits = Limiter(self._store.limits, rules_of(self._config.limits), self._store.nodes)
        health = HealthBook(breaker_of(self._config.failover))
        router = Router(self.directory, routes_of(self._config.routes), health, leading(self._config.aliases))
        ports = Ports(
            clock=self._clock,
            keys=self._store.keys,
            directory=self.directory,
            router=router,
            retries=Retries(retry_of(self._config.failover)),
            credentials=Credentials(Keyring(self._clock, self._tasks, self._client), health),
            learned=Learned(),
            ledger=self._store.ledger,
            fetcher=self._client,
            embedded=self._team if self._team is not None and self._config.embedded.enabled else self._embedded,
            estimator=Counting(),
            formats=FORMATS,
            media=self._media(),
            tasks=self._tasks,
            admission=admission,
            limits=limits,
            once=self._store.once,
            cache=self._cache(),
            placements=placements_of(self._config.placement),
            sales=sales_of(self._config.sales),
            observers=(self._store.requests, self.metrics, UnpricedAlarm(self._clock)),
            policy=_policy(self._config),
        )
        turns = Turns(self._clock, asyncio.get_running_loop().call_soon, self._config.server.max_wait_seconds)
        self._watch(admission, limits, turns)
        table = routes(ports, self._missing, self._exposition, self._payments(), public=self._config.catalog.public)
        application = Application(table, ports, self._cors(), turns)
        await self._start_work(self._client)
        return Serving(
            handle=application.handle,
            refuse=application.refusal,
            triage=Triage(shed=application.shed, screen=application.screen),
            clock=self._clock,
            limits=_limits(self._config.server),
            entrance=Entrance(proxies=_proxies(self._config.server), certificates=self._certificates),
        )

    def _watch(self, admission: Admission, limits: Limiter, turns: Turns) -> None:
        """Show in the metrics what others count."""
        ledger, loop = self._store.ledger, asyncio.get_running_loop()
        self.metrics.watch(
            {
                "komeet_calls_running": ("Calls under way", lambda: admission.running),
                "komeet_calls_shed": ("Calls refused because too many were under way", lambda: admission.shed),
                "komeet_calls_limited": ("Calls refused by a rate limit", lambda: limits.refused),
                "komeet_overloaded": ("Workers that refuse calls since they cannot keep up", lambda: turns.overloaded),
                "komeet_loop_stalls": ("Times that an event loop stood still", lambda: self._stalls.count),
                "komeet_tasks": ("Tasks of the event loops", lambda: len(asyncio.all_tasks(loop))),
                "komeet_ledger_waiting": ("Holds and outcomes that are not durable yet", lambda: ledger.waiting),
                "komeet_ledger_failing": ("Workers that cannot write the ledger", lambda: ledger.failing),
                "komeet_ledger_overruns": ("Attempts billed above their reservation", lambda: ledger.overruns),
                "komeet_ledger_audit_ok": (
                    "1 once the books have been audited and found right",
                    lambda: self._books is not None and self._books.right,
                ),
                "komeet_ledger_audit_differences": (
                    "What the last audit of the books found wrong",
                    lambda: 0 if self._books is None else self._books.differences,
                ),
                "komeet_request_log_dropped": ("Lines lost to the request log", lambda: self._store.requests.dropped),
            }
        )

    async def _start_work(self, client: Client) -> None:
        """Start what goes on beside the calls."""
        self._crossings = Crossings(
            self._store.ledger.take_crossings, self.metrics.crossed, self._clock, webhook_of(self._config, client)
        )
        await self._crossings.start(self._tasks.spawn)
        await self._store.keys.start(self._tasks.spawn)
        await self._store.nodes.start(self._tasks.spawn)
        await self._store.once.start(self._tasks.spawn)
        await self._retention.start(self._tasks.spawn)
        if self._answers is not None:
            await self._answers.start(self._tasks.spawn)
        if self._books is not None:
            await self._books.start(self._tasks.spawn)
        self._stalls.start()
        if self._embedded is not None and self._config.embedded.start == "at_start":
            self._embedded.start()

    async def stop(self, patience: float = 5.0) -> None:
        """Settle everything, close everything: each part whatever becomes of the others, and the ledger last.

        Args:
            patience: seconds that work behind calls (counting tokens) may still take.
        """
        async with AsyncExitStack() as ending:  # what is named last ends first
            ending.callback(self._crossings.tell)  # what the last records crossed
            ending.push_async_callback(asyncio.to_thread, self._store.close)
            ending.push_async_callback(self._client.aclose)
            ending.push_async_callback(self._tasks.drain, patience)
            ending.push_async_callback(self._crossings.stop)
            ending.push_async_callback(self._retention.stop)
            if self._answers is not None:
                ending.push_async_callback(self._answers.stop)
            if self._books is not None:
                ending.push_async_callback(self._books.stop)
            ending.push_async_callback(self._store.nodes.stop)
            ending.push_async_callback(self._store.once.stop)
            ending.callback(self._stalls.close)
            ending.push_async_callback(self._store.keys.stop)
            if self._embedded is not None:
                ending.push_async_callback(self._embedded.close)

    def _cors(self) -> Cors | None:
        origins = self._config.server.cors.origins
        return Cors(origins) if origins else None

    def _cache(self) -> Cache | None:
        if self._answers is None:
            return None
        return Cache(self._answers, caching_of(self._config.cache, self._config.routes), self._clock)

    def _payments(self) -> Payments | None:
        secret = self._config.payments.webhook_secret
        if secret is None:
            return None
        return Payments(LedgerPayments(self._store.files.ledger, self._clock), secret, self._clock)

    def _media(self) -> PublicMedia | None:
        wanted = self._config.media
        if not wanted.fetch:
            return None
        authorities = tls_files(self._config.connections.tls, "connections.tls")
        # What a caller names is shown no certificate of ours.
        trust = Trust(None if authorities is None else TlsFiles(ca_file=authorities.ca_file))
        trust.context()
        return PublicMedia(self._clock, limit=wanted.max_bytes, seconds=wanted.seconds, trust=trust)

    async def _exposition(self) -> bytes:
        # With a thousand series it takes longer than a call should have to wait.
        return await (asyncio.to_thread(self.metrics.exposition) if self._team is None else self._team.exposition())

    def _missing(self) -> dict[str, str]:
        return {"ledger": "it cannot be written"} if self._store.ledger.failing else {}


def _open_store(config: Config, data_dir: Path, clock: Clock, team: Team | None) -> Store:
    """Open the data directory and its databases, alone or beside the others of a team."""
    durability, databases = config.ledger.durability, databases_of(config)
    if team is None:
        return Store.open(data_dir, clock, durability=durability, databases=databases)
    return Store.join(data_dir, clock, durability=durability, session=team.session, databases=databases)


def _answers(config: Config, store: Store, clock: Clock) -> ResponseCache | None:
    if store.files.cache is None:
        return None
    return ResponseCache(store.files.cache, clock, most_bytes=config.cache.max_bytes)


def _policy(config: Config) -> Policy:
    return Policy(
        unpriced=config.ledger.unpriced,
        unpriced_with_budget=config.ledger.unpriced_with_budget,
        budget_output_tokens=config.ledger.budget_output_tokens,
        budget_image_tokens=config.ledger.budget_image_tokens,
        losses=config.translation.losses,
        pass_through=config.translation.pass_through,
    )


def _client_limits(config: Config) -> ClientLimits:
    wanted = config.connections
    return ClientLimits(
        connections=wanted.most,
        waiting=wanted.waiting,
        idle_seconds=wanted.idle_seconds,
        age_seconds=wanted.age_seconds,
        names_seconds=wanted.names_seconds,
        head_bytes=wanted.max_header_bytes,
        head_fields=wanted.max_headers,
    )


def _limits(server: ServerConfig) -> ServerLimits:
    return ServerLimits(
        connections=server.max_connections,
        body_bytes=server.max_body_bytes,
        header_bytes=server.max_header_bytes,
        header_count=server.max_headers,
        header_seconds=server.header_seconds,
        body_seconds=server.body_seconds,
        body_rate=server.min_body_rate,
        idle_seconds=server.idle_seconds,
        write_seconds=server.write_seconds,
        quiet_seconds=server.quiet_seconds,
    )


def _proxies(server: ServerConfig) -> TrustedProxies:
    match server.client_address:
        case "proxy_protocol":
            return TrustedProxies(server.trusted_proxies, announce=bool(server.trusted_proxies))
        case "forwarded":
            return TrustedProxies(server.trusted_proxies, FORWARDED)
        case "x_forwarded_for":
            return TrustedProxies(server.trusted_proxies, X_FORWARDED_FOR)


def _certificates(server: ServerConfig, clock: Clock) -> Certificates | None:
    if server.tls is None:
        return None
    try:
        return Certificates(Path(server.tls.cert_file), Path(server.tls.key_file), clock)
    except CertificateError as error:
        raise ConfigError(f"server.tls: {error}") from error
