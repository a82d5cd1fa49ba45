"""Takes passwords out of SCIM resources and PatchOp messages (RFC 7643 §4.1.1, RFC 7644 §3.5.2).

SCIM compares attribute names without regard to case, and lets a name begin with the URN of its
schema; both count here.
"""

from typing import Any, Final

_ATTRIBUTE: Final = "password"


def without_passwords(message: dict[str, Any]) -> dict[str, Any]:
    """Return a resource or a PatchOp message without the values of `password`.

    An operation that would set nothing but a password is left out as a whole: a `replace`
    without a value would tell its reader to remove the password.

    Args:
        message: JSON that the caller owns; it is not changed, but parts of it are shared.
    """
    kept = _without_password(message)
    for name, value in kept.items():
        if name.lower() == "operations" and isinstance(value, list):
            kept[name] = [made for made in map(_operation, value) if made is not None]
    return kept


def _operation(operation: Any) -> Any:
    """The operation without passwords; None when nothing is left of it."""
    if not isinstance(operation, dict):
        return operation
    named = {name.lower(): name for name in operation}
    path = operation.get(named.get("path", ""))
    if isinstance(path, str) and _is_password(path.strip()):
        return None
    value_name = named.get("value", "")
    value = operation.get(value_name)
    if not isinstance(value, dict):
        return operation
    kept = _without_password(value)
    return {**operation, value_name: kept} if kept or not value else None


def _without_password(resource: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_password(value)
        if isinstance(value, dict) and name.lower().startswith("urn:")
        else value
        for name, value in resource.items()
        if not _is_password(name)
    }


def _is_password(path: str) -> bool:
    """Whether an attribute path is `password`, bare or behind the URN of its schema."""
    *urn, name = path.lower().rsplit(":", 1)
    return name == _ATTRIBUTE and (not urn or urn[0].startswith("urn:"))
