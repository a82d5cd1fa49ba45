"""The URLs under which this transmitter is reached; built from the issuer, never from `Host`."""

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Absolute URLs.

    Attributes:
        origin: Scheme, host and port of the issuer, without a path.
    """

    origin: str

    @classmethod
    def of_issuer(cls, issuer: str) -> "Endpoints":
        """The endpoints of the transmitter whose issuer URL this is."""
        parts = urlsplit(issuer)
        return cls(origin=f"{parts.scheme}://{parts.netloc}")

    @property
    def jwks_uri(self) -> str:
        """Where the public keys are."""
        return f"{self.origin}/jwks.json"

    @property
    def configuration_endpoint(self) -> str:
        """SSF 1.0 §8.1.1."""
        return f"{self.origin}/ssf/v1/streams"

    @property
    def status_endpoint(self) -> str:
        """SSF 1.0 §8.1.2."""
        return f"{self.origin}/ssf/v1/status"

    @property
    def verification_endpoint(self) -> str:
        """SSF 1.0 §8.1.4."""
        return f"{self.origin}/ssf/v1/verify"

    @property
    def add_subject_endpoint(self) -> str:
        """SSF 1.0 §8.1.3.2."""
        return f"{self.origin}/ssf/v1/subjects:add"

    @property
    def remove_subject_endpoint(self) -> str:
        """SSF 1.0 §8.1.3.3."""
        return f"{self.origin}/ssf/v1/subjects:remove"

    def poll_url(self, stream_id: str) -> str:
        """Where a stream is polled (RFC 8936): a URL of its own for each stream."""
        return f"{self.origin}/ssf/v1/poll/{stream_id}"

    @property
    def sse_configuration_endpoint(self) -> str:
        """The one stream of the older profile."""
        return f"{self.origin}/sse/v1/stream"

    @property
    def sse_status_endpoint(self) -> str:
        """Its status."""
        return f"{self.origin}/sse/v1/status"

    @property
    def sse_add_subject_endpoint(self) -> str:
        """Where a subject is added to it."""
        return f"{self.origin}/sse/v1/subjects:add"

    @property
    def sse_remove_subject_endpoint(self) -> str:
        """Where a subject is removed from it."""
        return f"{self.origin}/sse/v1/subjects:remove"

    @property
    def sse_verification_endpoint(self) -> str:
        """Where its verification is asked for."""
        return f"{self.origin}/sse/v1/verify"

    @property
    def sse_poll_url(self) -> str:
        """Where the older profile polls the one stream that it knows."""
        return f"{self.origin}/sse/v1/poll"
