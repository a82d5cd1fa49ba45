"""What anybody may read: the transmitter's metadata and its public keys."""

from collections.abc import Callable
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from keys.keyring import Keyring
from keys.published_jwks import cache_control, etag, published_jwks
from ssf.api.operations import PublicOperation
from ssf.api.responses import json_response
from ssf.protocol.stream_configuration import DeliveryMethod
from ssf.protocol.transmitter_metadata import (
    OAUTH_SPEC_URN,
    TransmitterMetadata,
    well_known_path,
)
from ssf.rules.endpoints import Endpoints


class WellKnown:
    """Discovery (SSF 1.0 §7) and the JWK Set (RFC 7517)."""

    def __init__(self, *, issuer: str, keyring: Callable[[], Keyring]) -> None:
        self._issuer = issuer
        self._keyring = keyring
        endpoints = Endpoints.of_issuer(issuer)
        self._document = TransmitterMetadata(
            issuer=issuer,
            jwks_uri=endpoints.jwks_uri,
            delivery_methods_supported=(DeliveryMethod.PUSH.value, DeliveryMethod.POLL.value),
            configuration_endpoint=endpoints.configuration_endpoint,
            status_endpoint=endpoints.status_endpoint,
            verification_endpoint=endpoints.verification_endpoint,
            authorization_schemes=(OAUTH_SPEC_URN,),
            default_subjects="ALL",
        ).to_document()

    def operations(self) -> list[PublicOperation]:
        """The metadata at the path that the issuer prescribes, and the keys."""
        return [
            PublicOperation(
                method="GET", path=unquote(well_known_path(self._issuer)), endpoint=self.metadata
            ),
            PublicOperation(method="GET", path="/jwks.json", endpoint=self.jwks),
        ]

    async def metadata(self, _request: Request) -> Response:
        """The transmitter's metadata (SSF 1.0 §7.1)."""
        return json_response(self._document, headers={"Cache-Control": "public, max-age=300"})

    async def jwks(self, request: Request) -> Response:
        """The public keys, cacheable; 304 for a client that has them."""
        document = published_jwks(self._keyring())
        headers = {"Cache-Control": cache_control(), "ETag": etag(document)}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return json_response(document, headers=headers)
