"""The configuration file: every option, its default and what it means. The reference page is made from here."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from komeet.config.caching import Cache
from komeet.config.credentials import Credential, Google
from komeet.config.limits import Limit
from komeet.config.models import Aliases, Catalog, Models
from komeet.config.placement import Placement, ProviderTag
from komeet.config.pricing import Price, Sale
from komeet.config.routes import Failover, Route
from komeet.core.secrets import Secret
from komeet.providers.registry import FormatName

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")]


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The certificate of the port: PEM files, read again when they change."""

    cert_file: Annotated[str, Meta(description="The certificate, and behind it those that lead to its authority.")]
    key_file: Annotated[str, Meta(description="Its key, without a password.")]


class Cors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Web pages whose scripts may call the API from a browser."""

    origins: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s,]+)$")], ...],
        Meta(description="Where such pages come from: `https://app.example.com`, or `*` for any."),
    ] = ()


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Komeet listens, and what a caller may ask of it."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")] = 4000
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | None,
        Meta(description="Processes that answer calls; default: as many as there are cores, at most 4."),
    ] = None
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Largest request body; above it: 413.")] = 33_554_432
    max_header_bytes: Annotated[int, Meta(ge=1024, description="Largest header section; above it: 431.")] = 32_768
    max_headers: Annotated[int, Meta(ge=10, le=10_000, description="Most header fields; above it: 431.")] = 100
    max_connections: Annotated[
        int,
        Meta(ge=1, description="Most connections of each worker, not of all; further ones get 503 with Retry-After."),
    ] = 10_000
    max_calls: Annotated[
        int,
        Meta(
            ge=1, description="Most calls under way in each worker, not in all; further ones get 503 with Retry-After."
        ),
    ] = 2_000
    max_calls_per_key: Annotated[
        int, Meta(ge=1, description="Most calls of one key under way in each worker, not in all; further ones get 429.")
    ] = 1_000
    max_wait_seconds: Annotated[
        Seconds,
        Meta(
            description="How long calls may have to wait for their turn in a worker that has more to do than it can,"
            " for a second on end; then as many get 503 with Retry-After as it takes to be quick again."
        ),
    ] = 0.25
    header_seconds: Annotated[
        Seconds,
        Meta(
            description="From the first byte of a request to the end of its headers; also to the first byte of a"
            " connection, and for its TLS handshake."
        ),
    ] = 10.0
    body_seconds: Annotated[
        Seconds, Meta(description="For a request body; what has arrived adds time at `min_body_rate`.")
    ] = 10.0
    min_body_rate: Annotated[
        int, Meta(ge=1, description="Bytes per second that a body must keep up once `body_seconds` are over; else 408.")
    ] = 16_384
    idle_seconds: Annotated[Seconds, Meta(description="How long a connection may be kept without a request.")] = 75.0
    write_seconds: Annotated[Seconds, Meta(description="How long a caller may take nothing of an answer.")] = 60.0
    quiet_seconds: Annotated[
        Seconds,
        Meta(
            description="How long a stream of events may be silent before a comment is sent, so that nobody on the way"
            " takes the connection for dead (not in Gemini's format, whose libraries do not take comments)."
        ),
    ] = 15.0
    drain_seconds: Annotated[Seconds, Meta(description="How long running calls may go on after SIGTERM.")] = 30.0
    reload_seconds: Annotated[
        Seconds, Meta(description="How long running calls may go on in a worker that a reload has replaced.")
    ] = 3600.0
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Addresses or networks (`10.0.0.0/8`) of proxies whose word about the caller's is taken."),
    ] = ()
    client_address: Annotated[
        Literal["x_forwarded_for", "forwarded", "proxy_protocol"],
        Meta(description="How they give it: one header field, or the PROXY protocol (1 or 2) before each connection."),
    ] = "x_forwarded_for"
    tls: Annotated[Tls | None, Meta(description="TLS on the port; left out: none.")] = None
    cors: Annotated[Cors, Meta(description="Web pages whose scripts may call the API from a browser.")] = Cors()


class Console(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The console: a process and a port of its own, for those who run Komeet. Now one page: how everything stands."""

    enabled: Annotated[bool, Meta(description="Whether there is one.")] = True
    host: Annotated[
        str,
        Meta(description="Address to listen on: one of this machine (`127.0.0.1`, `::1`), until it has a sign-in."),
    ] = "127.0.0.1"
    port: Annotated[
        Annotated[int, Meta(ge=0, le=65_535)] | None,
        Meta(
            description="Port to listen on; 0 takes a free one. One that is named has to be free. Default: 4001 (a free"
            " one where `server.port` is 0), and where another program has it, Komeet runs without a console."
        ),
    ] = None


class Deadlines(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each phase of a call to a provider may take."""

    connect: Annotated[Seconds, Meta(description="Name look-up, connection and TLS.")] = 10.0
    first_byte: Annotated[Seconds, Meta(description="From the request sent to the first byte of the answer.")] = 600.0
    idle: Annotated[Seconds, Meta(description="Between two pieces of an answer.")] = 300.0
    total: Annotated[Seconds, Meta(description="The whole call.")] = 3600.0


class ProviderTls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files in PEM for TLS to providers, whose certificates are always verified. Read when Komeet starts."""

    ca_file: Annotated[
        str | None, Meta(description="Certificate authorities that are trusted besides the system's.")
    ] = None
    cert_file: Annotated[
        str | None, Meta(description="A certificate to show to who asks for one, with what it was signed with.")
    ] = None
    key_file: Annotated[
        str | None, Meta(description="Its key, without a passphrase. Default: it is in `cert_file`.")
    ] = None


class Aws(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose calls to Bedrock they are, and in which region. What is left out comes from AWS's own variables."""

    access_key_id: Annotated[
        str | None, Meta(description="The id of a static key, or of a session's. Default: `AWS_ACCESS_KEY_ID`.")
    ] = None
    secret_access_key: Annotated[
        Secret | None, Meta(description="The key itself: `${AWS_SECRET_ACCESS_KEY}`. Default: that variable.")
    ] = None
    session_token: Annotated[
        Secret | None,
        Meta(description="Only with a session's key. Default, without `access_key_id`: `AWS_SESSION_TOKEN`."),
    ] = None
    region: Annotated[str | None, Meta(description="Default: `AWS_REGION`, then `AWS_DEFAULT_REGION`.")] = None


class Provider(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider: a row of the registry by its name, or an address of your own."""

    name: Annotated[
        Name, Meta(description="A name of the registry (`openai`, `groq` …), or any other with a `base_url`.")
    ]
    base_url: Annotated[
        str | None,
        Meta(description="Where its API starts, with `/v1` where it has one. https, or http on this machine."),
    ] = None
    api_key: Annotated[
        Secret | None,
        Meta(description="Its key: `${OPENAI_API_KEY}`. Without it: the registry's environment variable."),
    ] = None
    api_key_file: Annotated[
        str | None, Meta(description="A file that holds the key instead; read again when it changes.")
    ] = None
    credentials: Annotated[
        tuple[Credential, ...],
        Meta(description="Several keys instead, which take turns by weight. Left out: the one key above."),
    ] = ()
    aws: Annotated[
        Aws | None,
        Meta(description="For `bedrock`: who signs its calls, and its region. Not needed where it has an `api_key`."),
    ] = None
    google: Annotated[
        Google | None, Meta(description="For `vertex`: a service account, its project and its location.")
    ] = None
    api_version: Annotated[
        str | None,
        Meta(
            description="For `azure`: the version of its dated API (`2024-10-21`), where models are deployments in the"
            " path. Default: `OPENAI_API_VERSION`; without it, `/openai/v1`."
        ),
    ] = None
    allow_http: Annotated[
        bool, Meta(description="Allow http to another machine: keys and prompts go in the clear.")
    ] = False
    models: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Patterns of the models that it offers by bare name; default: those of the price book, or all."
        ),
    ] = None
    stream_usage: Annotated[
        Literal["ask", "always", "never"] | None,
        Meta(description="Whether it reports usage on streams when asked, always, or never (then it is estimated)."),
    ] = None
    prices_of: Annotated[
        str | None, Meta(description="The price book's name for it, where it bills as a provider of the book does.")
    ] = None
    formats: Annotated[
        Annotated[tuple[FormatName, ...], Meta(min_length=1)] | None,
        Meta(
            description="The wire formats that it speaks at this address. A caller's own is used where it is among"
            " them, else the first. Default: the registry's, or OpenAI's: chat, embeddings, moderations,"
            " pictures and sound; and Jina's reranking."
        ),
    ] = None
    losses: Annotated[
        Literal["adapt", "refuse"] | None,
        Meta(description="What becomes of calls that lose something on the way to it; default: `translation.losses`."),
    ] = None
    headers: Annotated[dict[str, str], Meta(description="Headers added to every call.")] = {}
    tags: Annotated[
        tuple[ProviderTag, ...],
        Meta(description="What you say of it, such as `eu` or `no-training`: calls may demand it (`placement`)."),
    ] = ()
    tls: Annotated[
        ProviderTls, Meta(description="Authorities and a certificate for it alone, before those of `connections.tls`.")
    ] = ProviderTls()
    deadlines: Annotated[Deadlines, Meta(description="How long each phase of a call may take.")] = Deadlines()


class Connections(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connections to providers: how many, for how long, and by which way."""

    most: Annotated[
        int, Meta(ge=1, le=65_535, description="Open connections to one address; above it, calls wait for one.")
    ] = 1024
    waiting: Annotated[
        int, Meta(ge=0, description="Calls that may wait for one, within their `connect` deadline; above it: 502.")
    ] = 4096
    idle_seconds: Annotated[
        Seconds, Meta(description="How long one is kept without a call, unless the provider announces less.")
    ] = 30.0
    age_seconds: Annotated[
        Seconds, Meta(description="After how long one takes no further call, so that a name may move.")
    ] = 600.0
    names_seconds: Annotated[
        float,
        Meta(ge=0, le=86_400, description="How long the addresses of a name are used before it is looked up again."),
    ] = 30.0
    max_header_bytes: Annotated[
        int, Meta(ge=1024, description="Largest header section of an answer; the same for chunk extensions, trailers.")
    ] = 65_536
    max_headers: Annotated[int, Meta(ge=1, description="Most headers of an answer, by name.")] = 256
    proxies: Annotated[
        Literal["environment", "none"],
        Meta(description="Proxies of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` but for `NO_PROXY`; or none of them."),
    ] = "environment"
    tls: Annotated[ProviderTls, Meta(description="Authorities and a certificate for every provider.")] = ProviderTls()


class Embedded(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The embedded model, `local/smollm2-135m`."""

    enabled: Annotated[bool, Meta(description="Whether it is offered.")] = True
    start: Annotated[
        Literal["on_demand", "at_start"],
        Meta(description="When its process starts: with the first call, or with Komeet."),
    ] = "on_demand"
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(description="Threads that it computes on; default: all cores but one, at most 4."),
    ] = None


class Ledger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How spending is kept."""

    database: Annotated[
        Secret | None,
        Meta(
            description="PostgreSQL 15 or newer, for several machines: `postgresql://user@host/db` as libpq reads it,"
            " with the password from `${ENV}`, `PGPASSFILE` or `PGPASSWORD`. Default: SQLite in the data directory."
        ),
    ] = None
    key_grace_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3_600,
            description="How long keys are believed while the database is out of reach; then each is refused with 503.",
        ),
    ] = 30.0
    durability: Annotated[
        Literal["power_loss", "crash"],
        Meta(
            description="What a committed hold survives: a loss of power (each commit waits for the disk), or a crash."
        ),
    ] = "power_loss"
    unpriced: Annotated[
        Literal["allow", "refuse"],
        Meta(description="Calls to models without a known price, of keys without a hard budget."),
    ] = "allow"
    unpriced_with_budget: Annotated[
        Literal["allow", "refuse"],
        Meta(description="The same of keys with one. If they are allowed, nothing is held or charged for such calls."),
    ] = "refuse"
    budget_output_tokens: Annotated[
        int,
        Meta(
            ge=1, description="Output limit set for keys with a budget when the caller sets none; less if less is left."
        ),
    ] = 16_384
    budget_image_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Most output tokens that a picture is taken to have for keys with a budget, where nothing is"
            " known of the model's pictures; none: such calls are refused (docs/media.md)."
        ),
    ] = None
    watch_books: Annotated[
        bool,
        Meta(description="Whether the server seals the books and audits them, a little at a time (docs/ledger.md)."),
    ] = True


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Komeet sends an event, and what it signs it with."""

    url: Annotated[str, Meta(description="An https URL; http on this machine only.")]
    secret: Annotated[
        Secret,
        Meta(description="Shared with the receiver, who checks the signature by it: 16 characters or more, of chance."),
    ]


class Budgets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told when a budget comes to one of its thresholds; see docs/budgets.md."""

    webhook: Annotated[
        Webhook | None, Meta(description="Where it is told besides the log and the metrics; default: nowhere.")
    ] = None


class Payments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payments that are told to Komeet, which credits organisations with them; see docs/budgets.md."""

    webhook_secret: Annotated[
        Secret | None,
        Meta(
            description="What `POST /webhooks/payments` is signed with: 16 characters or more, of chance."
            " Default: there is no such route."
        ),
    ] = None


class RequestLog(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of each call besides its money."""

    database: Annotated[
        Secret | None,
        Meta(
            description="Another PostgreSQL, or `local` for SQLite in the data directory of each machine."
            " Default: where the ledger is."
        ),
    ] = None
    keep_days: Annotated[
        Annotated[int, Meta(ge=1, le=36_500)] | None,
        Meta(
            description="After how many days lines are deleted; default: never. The ledger keeps its rows in any case."
        ),
    ] = None
    keep_bodies_days: Annotated[
        Annotated[int, Meta(ge=1, le=36_500)] | None,
        Meta(description="After how many days prompts and answers are deleted; default: with their lines."),
    ] = None


class Translation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a call between the caller's format and the provider's."""

    losses: Annotated[
        Literal["adapt", "refuse"],
        Meta(
            description="A knob that the model or its format does not have: left out and declared in `x-komeet-loss`,"
            " or the call is refused with 422. Content is never left out."
        ),
    ] = "adapt"
    pass_through: Annotated[
        bool,
        Meta(description="Whether bytes go through as they came where caller and provider speak the same format."),
    ] = True


class Media(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents that callers name by URL, for providers that do not fetch them themselves."""

    fetch: Annotated[
        bool, Meta(description="Whether Komeet fetches them: from public addresses only, each redirect checked.")
    ] = False
    max_bytes: Annotated[int, Meta(ge=1024, le=1 << 30, description="Largest file.")] = 20_971_520
    seconds: Annotated[Seconds, Meta(description="Most time for one file.")] = 15.0


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Komeet writes about itself to standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="The least that is written.")] = (
        "info"
    )
    format: Annotated[Literal["text", "json"], Meta(description="For people, or for machines.")] = "text"


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. Every part may be left out."""

    server: Annotated[Server, Meta(description="Where Komeet listens, and what a caller may ask of it.")] = Server()
    console: Annotated[Console, Meta(description="The console: how everything stands, for who runs Komeet.")] = (
        Console()
    )
    data_dir: Annotated[
        str | None, Meta(description="Where keys, ledger and logs are kept; default: `~/.local/share/komeet`.")
    ] = None
    providers: Annotated[
        tuple[Provider, ...] | None,
        Meta(description="Providers; left out: those whose environment variables are set."),
    ] = None
    routes: Annotated[
        tuple[Route, ...], Meta(description="Names that stand for several models (docs/routing.md).")
    ] = ()
    aliases: Aliases = {}
    placement: Annotated[
        tuple[Placement, ...], Meta(description="Where the calls of which keys may go, by tags of providers.")
    ] = ()
    models: Annotated[Models, Meta(description="What becomes of models that their provider has shut down.")] = Models()
    catalog: Annotated[Catalog, Meta(description="What is said of models to those who have no key.")] = Catalog()
    failover: Annotated[
        Failover, Meta(description="What is tried when a provider fails, before anything has reached the caller.")
    ] = Failover()
    connections: Annotated[
        Connections, Meta(description="Connections to providers: how many, for how long, and by which way.")
    ] = Connections()
    embedded: Annotated[Embedded, Meta(description="The embedded model.")] = Embedded()
    ledger: Annotated[Ledger, Meta(description="How spending is kept.")] = Ledger()
    prices: Annotated[
        tuple[Price, ...], Meta(description="What providers bill, before the price book (docs/pricing.md).")
    ] = ()
    sales: Annotated[
        tuple[Sale, ...], Meta(description="What customers are charged; default: the cost (docs/pricing.md).")
    ] = ()
    limits: Annotated[
        tuple[Limit, ...],
        Meta(description="How often and how much keys, users, models and providers may be used (docs/limits.md)."),
    ] = ()
    budgets: Annotated[Budgets, Meta(description="Who is told when a budget comes to one of its thresholds.")] = (
        Budgets()
    )
    payments: Annotated[
        Payments, Meta(description="Payments that are told to Komeet, which credits organisations with them.")
    ] = Payments()
    request_log: Annotated[RequestLog, Meta(description="What is kept of each call besides its money.")] = RequestLog()
    cache: Annotated[
        Cache,
        Meta(description="Answers that are given once more to the same call, without a provider (docs/cache.md)."),
    ] = Cache()
    translation: Annotated[
        Translation, Meta(description="What becomes of a call between the caller's format and the provider's.")
    ] = Translation()
    media: Annotated[
        Media, Meta(description="Documents that callers name by URL, for providers that do not fetch them themselves.")
    ] = Media()
    log: Annotated[Log, Meta(description="What Komeet writes about itself.")] = Log()
