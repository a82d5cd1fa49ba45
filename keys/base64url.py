"""Base64url as JOSE wants it: no padding, and exactly one text for each sequence of bytes."""

import base64
import binascii


def encode(data: bytes) -> str:
    """Write bytes in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: bytes) -> bytes:
    """Read base64url without padding.

    Args:
        text: ASCII bytes; may be empty.

    Raises:
        ValueError: Another alphabet, padding, white space, an impossible length, or bits set
            behind the last byte. Two texts never stand for the same bytes, so a token cannot be
            respelled into one that looks new.
    """
    try:
        data = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error as exc:
        raise ValueError("not base64url") from exc
    # The standard library skips foreign characters and ignores left-over bits; writing the bytes
    # again and comparing catches every such laxity at once.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != text:
        raise ValueError("not base64url")
    return data
