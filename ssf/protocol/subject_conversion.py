"""From the subject identifier of an event to one of the format that a receiver wants.

The older profile lets a receiver name a `format`; no source says what a transmitter does about
it. Our decision: identifiers are unpacked from `aliases` and wrapped, and nothing else. There is
no directory behind this that would know the e-mail address of an `iss_sub`, and none may be
guessed, so an identifier that was not in the event is never sent.

Subjects of verification and stream-updated events are not converted: SSF 1.0 §8.1.4.1 and §8.1.5
prescribe their format. Whoever calls this sees to it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from ssf.protocol.subject_formats import ALIASES, COMPLEX

_USER: Final = "user"

_MOST_PRIVATE_FIRST: Final = (
    "opaque",
    "iss_sub",
    "jwt_id",
    "saml_assertion_id",
    "scim",
    "uri",
    "did",
    "account",
    "phone_number",
    "email",
    "ip-addresses",
)
"""Formats from the one that tells a stranger least to the one that tells most (our decision)."""


class FormatFallback(StrEnum):
    """What is sent when the wanted format cannot be made.

    MOST_PRIVATE: Of several identifiers the one that tells least, a lone one as it is.
    SEND_AS_IS: The whole identifier as it is.
    DROP: Nothing.
    """

    MOST_PRIVATE = "most_private"
    SEND_AS_IS = "send_as_is"
    DROP = "drop"


def convert(
    identifier: Mapping[str, Any], want: str | None, fallback: FormatFallback
) -> Mapping[str, Any] | None:
    """Return an identifier of the same subject in the wanted format, as far as that is possible.

    | Identifier | Wanted | Becomes |
    |---|---|---|
    | any | None, or its own format | itself |
    | `aliases` that hold one of the format | simple format | the first of these |
    | `complex` | another format | `complex` with its `user` converted; see below |
    | anything else | `complex` | `complex` with it as `user` |
    | simple | `aliases` | `aliases` of it alone |
    | anything else | | by `fallback` |

    A complex subject is never reduced to its `user`: an event about one session would turn into
    one about all of the user's. Its other members keep their format, since a device has no e-mail
    address; only one that is `aliases` holding the wanted format becomes that one. Without a
    `user` there is nothing to fall back for.

    Args:
        identifier: As `ssf.protocol.subjects.parse_subject` makes it; it is not changed.
        want: A format name in today's spelling; None for any.
        fallback: What to do when the format cannot be made.

    Returns:
        The identifier, which may share members with the given one; None when there is none to
        send, which only `FormatFallback.DROP` leads to.
    """
    if want is None or identifier["format"] == want:
        return identifier
    if identifier["format"] == COMPLEX:
        return _convert_complex(identifier, want, fallback)
    picked = _picked(identifier, want)
    if picked is not None:
        return picked
    if want == COMPLEX:
        return {"format": COMPLEX, _USER: identifier}
    if want == ALIASES:
        return {"format": ALIASES, "identifiers": [identifier]}
    return _fall_back(identifier, fallback)


def _convert_complex(
    identifier: Mapping[str, Any], want: str, fallback: FormatFallback
) -> Mapping[str, Any] | None:
    members: dict[str, Any] = {}
    for name, member in identifier.items():
        if name == "format":
            members[name] = member
        elif name == _USER:
            members[name] = convert(member, want, fallback)
        else:
            members[name] = _picked(member, want) or member
    return None if members.get(_USER, members) is None else members


def _picked(identifier: Mapping[str, Any], want: str) -> Mapping[str, Any] | None:
    """The first of several aliases that has the format; None when there is none."""
    if identifier["format"] != ALIASES:
        return None
    return next((one for one in identifier["identifiers"] if one["format"] == want), None)


def _fall_back(identifier: Mapping[str, Any], fallback: FormatFallback) -> Mapping[str, Any] | None:
    if fallback is FormatFallback.DROP:
        return None
    if fallback is FormatFallback.SEND_AS_IS or identifier["format"] != ALIASES:
        return identifier
    least: Mapping[str, Any] = min(identifier["identifiers"], key=_telling)
    return least


def _telling(identifier: Mapping[str, Any]) -> int:
    """Position in the order; a private format, of which we know nothing, comes last."""
    name = identifier["format"]
    if name not in _MOST_PRIVATE_FIRST:
        return len(_MOST_PRIVATE_FIRST)
    return _MOST_PRIVATE_FIRST.index(name)
