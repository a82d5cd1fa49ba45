"""What anybody may read: the transmitter's metadata and its public keys."""

from collections.abc import Callable
from typing import Literal
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from keys.keyring import Keyring
from keys.published_jwks import cache_control, etag, published_jwks
from ssf.api.operations import PublicEndpoint, PublicOperation
from ssf.api.responses import json_response
from ssf.protocol.stream_configuration import LEGACY_METHOD_URIS, DeliveryMethod
from ssf.protocol.transmitter_metadata import (
    OAUTH_SPEC_URN,
    OLDEST_SPEC_VERSION,
    TransmitterMetadata,
    well_known_path,
)
from ssf.rules.endpoints import Endpoints

_CACHEABLE = {"Cache-Control": "public, max-age=300"}


class WellKnown:
    """Discovery (SSF 1.0 §7), that of the older profile, and the JWK Set (RFC 7517)."""

    def __init__(
        self,
        *,
        issuer: str,
        keyring: Callable[[], Keyring],
        default_subjects: Literal["ALL", "NONE"],
        critical_subject_members: tuple[str, ...],
    ) -> None:
        """Prepares the documents.

        Args:
            issuer: Byte for byte as configured.
            keyring: Returns the keys as they are now.
            default_subjects: What a new stream holds unless something else was agreed.
            critical_subject_members: Members of complex subjects that receivers must understand.
        """
        self._issuer = issuer
        self._keyring = keyring
        endpoints = Endpoints.of_issuer(issuer)
        self._document = TransmitterMetadata(
            issuer=issuer,
            jwks_uri=endpoints.jwks_uri,
            delivery_methods_supported=(DeliveryMethod.PUSH.value, DeliveryMethod.POLL.value),
            configuration_endpoint=endpoints.configuration_endpoint,
            status_endpoint=endpoints.status_endpoint,
            add_subject_endpoint=endpoints.add_subject_endpoint,
            remove_subject_endpoint=endpoints.remove_subject_endpoint,
            verification_endpoint=endpoints.verification_endpoint,
            critical_subject_members=critical_subject_members,
            authorization_schemes=(OAUTH_SPEC_URN,),
            default_subjects=default_subjects,
        ).to_document()
        # The draft of 2021 knows neither `authorization_schemes` nor `default_subjects`.
        self._sse_document = TransmitterMetadata(
            issuer=issuer,
            spec_version=OLDEST_SPEC_VERSION,
            jwks_uri=endpoints.jwks_uri,
            delivery_methods_supported=(
                LEGACY_METHOD_URIS[DeliveryMethod.PUSH],
                LEGACY_METHOD_URIS[DeliveryMethod.POLL],
            ),
            configuration_endpoint=endpoints.sse_configuration_endpoint,
            status_endpoint=endpoints.sse_status_endpoint,
            add_subject_endpoint=endpoints.sse_add_subject_endpoint,
            remove_subject_endpoint=endpoints.sse_remove_subject_endpoint,
            verification_endpoint=endpoints.sse_verification_endpoint,
            critical_subject_members=critical_subject_members,
        ).to_document()

    def operations(self) -> list[PublicOperation]:
        """The metadata at the paths that the issuer prescribes, and the keys."""
        return [
            self._at("ssf-configuration", self.metadata),
            self._at("sse-configuration", self.sse_metadata),
            # What was at this path before 2021 has the same members (SSF 1.0 §7.2.2).
            self._at("risc-configuration", self.sse_metadata),
            PublicOperation(method="GET", path="/jwks.json", endpoint=self.jwks),
        ]

    def _at(self, name: str, endpoint: PublicEndpoint) -> PublicOperation:
        path = unquote(well_known_path(self._issuer, name))
        return PublicOperation(method="GET", path=path, endpoint=endpoint)

    async def metadata(self, _request: Request) -> Response:
        """The transmitter's metadata (SSF 1.0 §7.1)."""
        return json_response(self._document, headers=_CACHEABLE)

    async def sse_metadata(self, _request: Request) -> Response:
        """The metadata of the older profile (SSE 1.0 implementer's draft 1 §6)."""
        return json_response(self._sse_document, headers=_CACHEABLE)

    async def jwks(self, request: Request) -> Response:
        """The public keys, cacheable; 304 for a client that has them."""
        document = published_jwks(self._keyring())
        headers = {"Cache-Control": cache_control(), "ETag": etag(document)}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return json_response(document, headers=headers)
