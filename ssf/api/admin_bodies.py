"""What bodies and answers under `/admin/v1` have in common."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.responses import Response

from ssf.api.responses import json_response
from ssf.rules.errors import InvalidRequest

Name = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
    ),
]
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00-\x20\x7f-\x9f]*$")
]
Words = Annotated[list[Word], Field(min_length=1, max_length=100)]


class AdminBody(BaseModel):
    """A body of which every member is known."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


_Model = TypeVar("_Model", bound=AdminBody)


def parsed(model: type[_Model], body: dict[str, Any]) -> _Model:
    """The body as a model.

    Raises:
        InvalidRequest: Naming the first member that is wrong.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = str(problem["loc"][0])[:255]
        raise InvalidRequest(f"{field}: {problem['msg']}.", field=field) from None


def page(name: str, shown: Sequence[dict[str, Any]], ids: Sequence[int], limit: int) -> Response:
    """A page of a list, of which one entry more than `limit` was read to see whether there is."""
    body: dict[str, Any] = {name: list(shown[:limit])}
    if len(shown) > limit:
        body["next"] = str(ids[limit - 1])
    return json_response(body)


def as_tuple(value: str | list[str]) -> tuple[str, ...]:
    """One word or several, each once, in the order given."""
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))
