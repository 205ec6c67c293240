"""How much one connection may ask for, and how long it may take."""

from msgspec import Struct


class ServerLimits(Struct, frozen=True, kw_only=True):
    """Bounds on what callers send and on how fast they take what is sent to them."""

    header_bytes: int = 32 * 1024
    """Request line and header fields together; above: 431."""
    header_count: int = 100
    """Header fields; above: 431."""
    body_bytes: int = 32 * 1024 * 1024
    """Above: 413, before the rest is read."""
    header_seconds: float = 10.0
    """From a request's first byte to the end of its header section; later: 408. Also from the start of a connection to
    its first byte, and to the end of its TLS handshake; later: it closes."""
    body_seconds: float = 10.0
    """From the end of the header section; what has arrived adds time at `body_rate`; later: 408."""
    body_rate: int = 16 * 1024
    """Bytes per second that a body must keep up once `body_seconds` are over."""
    idle_seconds: float = 75.0
    """How long a connection may stay open with no request under way."""
    farewell_seconds: float = 2.0
    """… while the server retires. A caller that keeps connections uses most of them within this; one that it has not
    used may be closed in the moment when it does."""
    write_seconds: float = 60.0
    """How long a caller may take nothing of what waits for it before it is cut."""
    quiet_seconds: float = 15.0
    """How long an event stream may be silent before its filler (a comment) is sent."""
    write_bytes: int = 64 * 1024
    """Bytes waiting for a caller above which the handler is told to pause."""
    connections: int = 10_000
    """Open connections; further ones: 503."""
    held_bytes: int = 64 * 1024
    """Pipelined bytes kept while a request is handled; above: no more are read."""
    linger_seconds: float = 5.0
    """How long a refused caller may go on sending before the connection closes, so that it can read the refusal."""


class ClientLimits(Struct, frozen=True, kw_only=True):
    """Bounds on the connections to providers and on what they send."""

    connections: int = 1024
    """Open connections per origin; further calls wait for one within their connect deadline."""
    waiting: int = 4096
    """Calls per origin that may wait for a connection; above: no connection."""
    idle_seconds: float = 30.0
    """How long an unused connection is kept, unless the provider says less."""
    age_seconds: float = 600.0
    """After how long a connection is not used for another call: names move to other addresses."""
    names_seconds: float = 30.0
    """How long the addresses of a name are used before it is looked up again."""
    head_bytes: int = 64 * 1024
    """Status line and header fields, interim answers included; above: the answer is garbled. The same for what frames a
    body: chunk extensions between two pieces, trailers."""
    head_fields: int = 256
    """Header fields of different names; above: the answer is garbled."""
    buffer_bytes: int = 256 * 1024
    """Bytes of an answer kept while nobody reads it; above: no more are read."""
