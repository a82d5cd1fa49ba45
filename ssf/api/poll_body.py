"""The body of a poll and of its answer (RFC 8936 §2.2, §2.3), in either profile."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ssf.api.request_body import json_object
from ssf.api.responses import json_response
from ssf.control.polling import PollAnswer, PollRequest, SetError
from ssf.protocol.errors import printable
from ssf.rules.errors import InvalidRequest

MAX_ACKS = 10_000
_MAX_JSON_MEMBERS = 50_000
_MAX_JTI_CHARS = 1_024
_MAX_WORDS_CHARS = 1_000


async def poll_request(request: Request, *, ack_name: str = "ack") -> PollRequest:
    """Reads a poll. A null counts as absent.

    Args:
        request: Whose body has not been read.
        ack_name: Another name under which acknowledgements may come as well.

    Raises:
        InvalidRequest: A member is not what it should be.
    """
    body = await json_object(request, max_members=_MAX_JSON_MEMBERS)
    acks = [*_acks(body, "ack")]
    if ack_name != "ack":
        acks += _acks(body, ack_name)
    return PollRequest(
        max_events=_max_events(body.get("maxEvents")),
        return_immediately=_flag(body.get("returnImmediately")),
        ack=tuple(dict.fromkeys(acks)),
        set_errs=_set_errs(body.get("setErrs")),
    )


def poll_answer(answer: PollAnswer) -> Response:
    """The answer: `sets` always, `moreAvailable` when true."""
    body: dict[str, Any] = {"sets": answer.sets}
    if answer.more_available:
        body["moreAvailable"] = True
    return json_response(body)


def _max_events(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise InvalidRequest("maxEvents is a whole number of 0 or more.", field="maxEvents")
    return value


def _flag(value: object) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequest("returnImmediately is true or false.", field="returnImmediately")
    return value


def _acks(body: Mapping[str, Any], name: str) -> Sequence[str]:
    value = body.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(_is_jti(item) for item in value):
        raise InvalidRequest(f"{name} is an array of jti strings.", field=name)
    if len(value) > MAX_ACKS:
        raise InvalidRequest(f"{name} may have {MAX_ACKS} entries.", field=name)
    return value


def _set_errs(value: object) -> Sequence[SetError]:
    if value is None:
        return ()
    if not isinstance(value, dict) or not all(_is_jti(jti) for jti in value):
        raise InvalidRequest("setErrs is an object with a jti as each name.", field="setErrs")
    if len(value) > MAX_ACKS:
        raise InvalidRequest(f"setErrs may have {MAX_ACKS} entries.", field="setErrs")
    return [_set_error(jti, said) for jti, said in value.items()]


def _set_error(jti: str, said: object) -> SetError:
    if not isinstance(said, dict) or not isinstance(said.get("err"), str):
        raise InvalidRequest(
            "Each entry of setErrs is an object with a string err.", field="setErrs"
        )
    description = said.get("description")
    if description is not None and not isinstance(description, str):
        raise InvalidRequest("description is a string.", field="setErrs")
    words = None if description is None else printable(description, _MAX_WORDS_CHARS)
    return SetError(jti=jti, err=printable(said["err"], _MAX_WORDS_CHARS), description=words)


def _is_jti(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_JTI_CHARS
