"""The way of a call that is answered once, in one piece: bytes as they came, or through the neutral model."""

from typing import Generic

from msgspec.structs import replace

from komeet.canonical.part import Inline
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, InternalError, UpstreamError
from komeet.wire.format import Edited, Envelope, Tap, Whole
from komeet.wire.readable import readable
from komeet.wire.single import A, Q, SingleCaller, SinglePassing, SingleTarget
from komeet.wire.way import Answered, not_kept


class SingleWay(Generic[Q, A]):
    """How one attempt translates.

    Args:
        caller: the format of the caller.
        target: the format that the provider is asked in, of the same kind.
        envelope: the caller's request.
        pass_through: whether the identity path may be taken.
        strict: whether a call that would lose anything is refused.

    Raises:
        WireError: 400, the request has to be understood whole, and cannot be.
    """

    __slots__ = ("_caller", "_passing", "_request", "_strict", "envelope", "target")

    least_output: int = 0
    """The lowest output limit that is sent: nothing is generated."""

    def __init__(
        self,
        caller: SingleCaller[Q, A],
        target: SingleTarget[Q, A],
        envelope: Envelope,
        *,
        pass_through: bool = True,
        strict: bool = False,
    ) -> None:
        self._caller = caller
        self.target = target
        self.envelope = envelope
        self._strict = strict
        like = pass_through and caller.name == target.name
        self._passing: SinglePassing | None = target.passing if like else None
        self._request = None if self._passing is not None else caller.parse_request(envelope)

    @property
    def identity(self) -> bool:
        """Whether bytes go through as they came."""
        return self._passing is not None

    def request(
        self,
        *,
        model: str,
        profile: Profile,
        output_limit: int | None,  # noqa: ARG002 - as of other ways
        ask_usage: bool,  # noqa: ARG002
    ) -> Edited:
        """Return the request as the provider gets it; `model` is what it calls the model.

        Raises:
            Unrepresentable: 422, an input that the target cannot carry; under the strict policy, anything.
        """
        if self._passing is not None:
            edited = self._passing.edit(self.envelope, model)
        else:
            edited = self.target.render_request(replace(self._known(), model=model), profile)
        if self._strict and edited.losses:
            raise not_kept(edited.losses[0])
        return edited

    def urls(self) -> tuple[str, ...]:
        """Return the addresses of what is to be fetched: nothing is."""
        return ()

    def inline(self, url: str, fetched: Inline) -> None:
        """Put what was fetched in the place of its address: nothing was."""

    def streams(self, said: bytes) -> bool:
        """Whether an answer of this media type is a stream of the provider's format."""
        return said.startswith(self.target.stream_type)

    def answer_type(self, said: bytes) -> bytes | None:  # noqa: ARG002 - as of other ways
        """Return the media type of the caller's answer, where that is the provider's; None: the caller's format's."""
        return None

    def supplemented(self, usage: Usage) -> Usage:
        """Return a count of ours, with what can be told of the answer that no tokens tell: nothing."""
        return usage

    def tap(self, *, continuable: bool = False) -> Tap:  # noqa: ARG002 - there is nothing to go on with
        """Return what a stream is fed to: there is none."""
        raise InternalError("A call of this kind has no stream.")

    def whole(self, body: bytes, *, streamed: bool) -> Answered | UpstreamError:
        """Read an answer. An error that came with a success status is returned.

        Raises:
            Garbled: the bytes are not an answer of the provider's format.
        """
        if streamed:
            raise Garbled("The provider answered with a stream, where none was asked for.")
        if self._passing is not None:
            whole = self._passing.read_whole(self.envelope, body)
            if isinstance(whole, UpstreamError):
                return whole
            if whole is not None:
                return _AsItCame(whole, body)
        request = self._known()
        try:
            answer = self.target.parse_response(readable(body), request)
        except Garbled:
            raise
        except UpstreamError as error:
            return error
        return _Translated(self._caller, answer, request, self.envelope)

    def _known(self) -> Q:
        if self._request is None:
            self._request = self._caller.parse_request(self.envelope)
        return self._request


class _Written:
    """What models of these kinds write: nothing."""

    __slots__ = ()

    service_tier: str | None = None

    def output_text(self) -> str:
        """Return all that the model wrote, for counting tokens."""
        return ""


class _AsItCame(_Written):
    """An answer that goes out as it came."""

    __slots__ = ("_body", "model", "usage")

    def __init__(self, whole: Whole, body: bytes) -> None:
        self.usage = whole.usage
        self.model = whole.model
        self._body = body

    def render(self, usage: Usage | None) -> bytes:  # noqa: ARG002 - nothing is added to another's words
        """Return what the caller gets."""
        return self._body


class _Translated(_Written, Generic[Q, A]):
    """An answer in the neutral model, written at once: what cannot be said is found before it is metered."""

    __slots__ = ("_answer", "_caller", "_envelope", "_request", "model", "usage")

    def __init__(self, caller: SingleCaller[Q, A], answer: A, request: Q, envelope: Envelope) -> None:
        self.usage = answer.usage
        self.model = answer.model
        self._caller = caller
        self._answer = answer
        self._request = request
        self._envelope = envelope

    def render(self, usage: Usage | None) -> bytes:
        """Return what the caller gets; `usage` counts where the provider gave none."""
        return self._caller.render_response(self._answer, self._request, self._envelope, self.usage or usage)
