"""A Shared Signals transmitter: security events go in, Security Event Tokens come out.

This package owns the transmitter. `receiver` is the other side, `keys` the only JOSE code.
Importing `ssf` loads nothing, so that a relying party may import `ssf.protocol` cheaply.
"""

__version__ = "0.1.0"
