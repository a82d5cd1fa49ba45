"""Reads query and path parameters."""

from starlette.requests import Request

from ssf.protocol.stream_configuration import parse_stream_id
from ssf.rules.errors import InvalidRequest

MAX_PAGE = 200
DEFAULT_PAGE = 50


def parameter(request: Request, name: str) -> str | None:
    """A query parameter that may be there once; None when it is not.

    Raises:
        InvalidRequest: It is there more than once.
    """
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise InvalidRequest(f"{name} may be given once.", field=name)
    return parse_stream_id(values[0], field=name) if values else None


def required_parameter(request: Request, name: str) -> str:
    """A query parameter that must be there.

    Raises:
        InvalidRequest: It is missing, or there more than once.
    """
    value = parameter(request, name)
    if value is None:
        raise InvalidRequest(f"Say which with ?{name}=…", field=name)
    return value


def path_name(request: Request, name: str) -> str:
    """A name in the path, free of control characters (PostgreSQL would choke on U+0000).

    Raises:
        MalformedStreamConfiguration: It is not a name.
    """
    return parse_stream_id(request.path_params[name], field=name)


def page_limits(request: Request) -> tuple[int, int]:
    """`after` and `limit` of a list.

    Returns:
        The row number after which the page begins, and how many rows it may have.

    Raises:
        InvalidRequest: They are not numbers, or out of range.
    """
    after = _number(request, "after", default=0, least=0, most=2**62)
    return after, _number(request, "limit", default=DEFAULT_PAGE, least=1, most=MAX_PAGE)


def _number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    text = parameter(request, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise InvalidRequest(f"{name} is a number from {least} to {most}.", field=name)
    return int(text)
