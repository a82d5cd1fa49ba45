"""Subjects: added to streams and removed from them by receivers (SSF 1.0 §8.1.3).

The answers are the same whether a subject was in the list or not, so they tell nobody what is.
"""

from typing import Any

from ssf.clock import MICROSECONDS, Clock
from ssf.control.callers import Caller
from ssf.control.streams import Streams
from ssf.protocol.errors import MalformedSubject
from ssf.protocol.subjects import Subject, opaque_subject, parse_subject
from ssf.rules.errors import InvalidRequest, TooManySubjects
from ssf.rules.streams import Stream
from ssf.rules.subject_membership import DefaultSubjects
from ssf.rules.subject_projections import MAX_LISTED_MEMBERS
from ssf.store import subjects
from ssf.store.database import Connection, Database

MAX_SHAPES = 128
"""Most sets of member names among the complex subjects of one stream."""


class Subjects:
    """What receivers may do with the subjects of their streams."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        owned: Streams,
        removal_grace_seconds: int,
        max_subjects: int,
    ) -> None:
        """Prepares.

        Args:
            removal_grace_seconds: How long events about a removed subject go on (SSF 1.0 §9.3).
            max_subjects: How many subjects a stream's list may have.
        """
        self._database = database
        self._clock = clock
        self._streams = owned
        self._removal_grace_seconds = removal_grace_seconds
        self._max_subjects = max_subjects

    async def add(
        self, caller: Caller, stream_id: str, identifier: Any, *, is_verified: bool
    ) -> None:
        """Adds a subject to a stream; adding it again changes nothing but `verified`.

        Args:
            identifier: The Subject Identifier as it came, decoded JSON.
            is_verified: Whether the receiver has verified the subject.

        Raises:
            NotFound: This receiver has no such stream.
            MalformedSubject: It is no Subject Identifier, or has too many members.
            TooManySubjects: The stream's list is full.
        """
        receiver = caller.require_receiver()
        await self._streams.heard_from(receiver, stream_id)
        async with self._database.transaction() as transaction:
            stream = await self._streams.owned(transaction, receiver, stream_id, for_share=True)
            await self._add(transaction, stream, _listed(identifier), is_verified=is_verified)

    async def add_on_facade(self, caller: Caller, identifier: Any, *, is_verified: bool) -> None:
        """As `add`, for the one stream that the older profile knows."""
        receiver = caller.require_receiver()
        await self._streams.heard_from_facade(receiver)
        subject = _listed(identifier)
        async with self._database.transaction() as transaction:
            stream = await self._streams.provide_facade(transaction, receiver)
            await self._add(transaction, stream, subject, is_verified=is_verified)

    async def remove(self, caller: Caller, stream_id: str, identifier: Any) -> None:
        """Removes a subject from a stream; one that is not in it is removed just as well.

        Raises:
            NotFound: This receiver has no such stream.
            MalformedSubject: It is no Subject Identifier, or has too many members.
            TooManySubjects: The stream's list is full, and this removal would have to be in it.
        """
        receiver = caller.require_receiver()
        await self._streams.heard_from(receiver, stream_id)
        async with self._database.transaction() as transaction:
            stream = await self._streams.owned(transaction, receiver, stream_id, for_share=True)
            await self._remove(transaction, stream, _listed(identifier))

    async def remove_on_facade(self, caller: Caller, identifier: Any) -> None:
        """As `remove`, for the one stream that the older profile knows."""
        receiver = caller.require_receiver()
        await self._streams.heard_from_facade(receiver)
        subject = _listed(identifier)
        async with self._database.transaction() as transaction:
            stream = await self._streams.provide_facade(transaction, receiver)
            await self._remove(transaction, stream, subject)

    async def _add(
        self, transaction: Connection, stream: Stream, subject: Subject, *, is_verified: bool
    ) -> None:
        if subject.key == opaque_subject(stream.stream_id).key:
            return  # A stream is always in itself.
        await subjects.add_subject(
            transaction, stream.id, subject, is_verified=is_verified, now=self._clock.now()
        )
        await self._require_room(transaction, stream)

    async def _remove(self, transaction: Connection, stream: Stream, subject: Subject) -> None:
        if subject.key == opaque_subject(stream.stream_id).key:
            raise InvalidRequest(
                "A stream's own subject cannot be removed; delete the stream instead.",
                field="subject",
            )
        now = self._clock.now()
        removal_at = now + self._removal_grace_seconds * MICROSECONDS
        if stream.default_subjects is DefaultSubjects.NONE:
            await subjects.drop_subject(
                transaction, stream.id, subject, removal_at=removal_at, now=now
            )
            return
        was_listed = await subjects.remove_subject(
            transaction, stream.id, subject, removal_at=removal_at, now=now
        )
        if not was_listed:
            await self._require_room(transaction, stream)

    async def _require_room(self, transaction: Connection, stream: Stream) -> None:
        """After the change, since only then it is known whether the list has grown."""
        if await subjects.count_subjects(transaction, stream.id) > self._max_subjects:
            raise TooManySubjects(
                f"The list of this stream is full: it may have {self._max_subjects} subjects.",
                field="subject",
            )
        if await subjects.count_shapes(transaction, stream.id) > MAX_SHAPES:
            raise TooManySubjects(
                f"The complex subjects of this stream may have {MAX_SHAPES} different sets of "
                "member names.",
                field="subject",
            )


def _listed(identifier: Any) -> Subject:
    subject = parse_subject(identifier)
    if len(subject.members) > MAX_LISTED_MEMBERS:
        raise MalformedSubject(
            f"may have {MAX_LISTED_MEMBERS} members in a stream's list, not {len(subject.members)}",
            field="subject",
        )
    return subject
