from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


@pytest.fixture(scope="session")
def private_keys() -> dict[str, Any]:
    """One raw private key for each algorithm; RSA is slow to make, so once for all tests."""
    shared = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "RS256": shared,
        "PS256": shared,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
