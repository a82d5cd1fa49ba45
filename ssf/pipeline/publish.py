"""The whole way of an event from the producer to its delivery rows. Read this first.

1. find the targets that want it,
2. claim the idempotency key, when there is one,
3. write the event and one delivery per target, and mark their lanes due,
4. commit, then ring the bell.

All of it is one transaction, so a producer who was answered 202 will see every delivery made.
"""

import json
from collections.abc import Sequence

from ssf.clock import Clock
from ssf.pipeline.fan_out import matched_targets
from ssf.pipeline.new_event import IdempotencyKey, NewEvent, Published
from ssf.protocol.subject_conversion import FormatFallback
from ssf.rules.deliveries import DeliveryKind
from ssf.rules.errors import IdempotencyKeyReused
from ssf.rules.events import StoredEvent
from ssf.rules.identifiers import RandomBytes, new_event_id, new_jti
from ssf.rules.targets import MatchedTarget
from ssf.store import events, lanes
from ssf.store.bell import Bell
from ssf.store.database import Connection, Database
from ssf.store.deliveries import NewDelivery, add_deliveries


class Publisher:
    """Takes events in."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        clock: Clock,
        random_bytes: RandomBytes,
        *,
        format_fallback: FormatFallback,
    ) -> None:
        self._database = database
        self._bell = bell
        self._clock = clock
        self._random_bytes = random_bytes
        self._format_fallback = format_fallback

    async def publish(
        self, event: NewEvent, *, idempotency_key: IdempotencyKey | None = None
    ) -> Published:
        """Stores an event and a delivery for each target that wants it.

        Returns:
            After the commit: the event's name and how many targets get it.

        Raises:
            IdempotencyKeyReused: The key was used for another event.
            StorageError: Nothing was stored.
        """
        now = self._clock.now()
        event_id = new_event_id(now, self._random_bytes)
        async with self._database.transaction() as transaction:
            targets = await matched_targets(
                transaction, event, now=now, format_fallback=self._format_fallback
            )
            matched = sum(target.drop_reason is None for target in targets)
            if idempotency_key is not None:
                earlier = await self._claim(
                    transaction, event.project_id, idempotency_key, event_id, matched, now
                )
                if earlier is not None:
                    return earlier
            await self.publish_to(transaction, event, targets, event_id=event_id, now=now)
        self.ring_for(targets)
        return Published(event_id=event_id, matched=matched)

    async def publish_to(
        self,
        transaction: Connection,
        event: NewEvent,
        targets: Sequence[MatchedTarget],
        *,
        event_id: str,
        now: int,
        kind: DeliveryKind = DeliveryKind.EVENT,
    ) -> None:
        """Stores an event for these targets, in the caller's transaction.

        The caller rings with `ring_for` after its commit.
        """
        subject_key = event.subject.key
        event_row = await events.add_event(
            transaction,
            StoredEvent(
                project_id=event.project_id,
                event_id=event_id,
                event_type=event.event_type,
                subject=_json_text(event.subject.identifier),
                subject_key=subject_key,
                payload=_json_text(event.payload),
                txn=event.txn or event_id,
                toe=None if event.toe is None else _json_text(event.toe),
                audience=None if event.audience is None else _json_text(sorted(event.audience)),
                created_at=now,
            ),
        )
        if not targets:
            return
        await add_deliveries(
            transaction,
            [
                NewDelivery(
                    target_id=target.id,
                    jti=new_jti(now, self._random_bytes),
                    matched_subject_id=target.matched_subject_id,
                    drop_reason=target.drop_reason,
                )
                for target in targets
            ],
            event_row=event_row,
            subject_key=subject_key,
            kind=kind,
            now=now,
        )
        await lanes.mark(
            transaction,
            due=[target.id for target in targets if target.is_pushed and not target.drop_reason],
            dropped=[target.id for target in targets if target.drop_reason],
            is_notice=kind is DeliveryKind.NOTICE,
            now=now,
        )

    def ring_for(self, targets: Sequence[MatchedTarget]) -> None:
        """Wakes whoever delivers to these targets; after the commit."""
        for target in targets:
            if target.drop_reason is None:
                self._bell.ring(Bell.PUSH if target.is_pushed else target.id)

    async def _claim(
        self,
        transaction: Connection,
        project_id: int,
        idempotency_key: IdempotencyKey,
        event_id: str,
        matched: int,
        now: int,
    ) -> Published | None:
        earlier = await events.remember_request(
            transaction,
            project_id=project_id,
            caller=idempotency_key.caller,
            key=idempotency_key.key,
            request=events.RememberedRequest(
                request_hash=idempotency_key.request_hash, event_id=event_id, matched=matched
            ),
            now=now,
        )
        if earlier is None:
            return None
        if earlier.request_hash != idempotency_key.request_hash:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used for another event; use a new key for a new event.",
                field="Idempotency-Key",
            )
        return Published(event_id=earlier.event_id, matched=earlier.matched, replayed=True)


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
