"""An event on its way in: what a producer said, checked, and what is kept of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as it is stored; JSON members are kept as text, since nothing queries into them.

    Attributes:
        event_id: Our name for it, `evt_` and 26 characters.
        event_type: URI.
        subject: JSON text of the `sub_id`.
        subject_key: SHA-256 of the subject's canonical form.
        payload: JSON text of the event's members.
        txn: Names the cause (RFC 8417 §2.2).
        toe: JSON number as text, or None.
        audience: JSON text of the `aud` values that the producer named; None: it named none.
        created_at: Microseconds UTC.
    """

    project_id: int
    event_id: str
    event_type: str
    subject: str
    subject_key: bytes
    payload: str
    txn: str | None
    toe: str | None
    audience: str | None
    created_at: int
