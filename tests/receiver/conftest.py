"""Keys, made once: RSA is slow."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa


@pytest.fixture(scope="session")
def issuer_key() -> rsa.RSAPrivateKey:
    """The key of the issuer, made without `keys`."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def stranger_key() -> rsa.RSAPrivateKey:
    """A key that nobody publishes."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
