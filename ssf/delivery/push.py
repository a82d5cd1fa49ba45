"""One attempt: sign, POST, judge (RFC 8935)."""

import email.utils
import re
from collections.abc import Callable, Sequence

from ssf.clock import MICROSECONDS, Clock
from ssf.delivery.egress import EgressClient, EgressFailed
from ssf.delivery.signing import SetSigner
from ssf.log import Log, origin_of
from ssf.protocol.push import parse_error_body, required_headers
from ssf.rules.deliveries import DeliveryState, DueDelivery, Recorded
from ssf.rules.delivery_outcome import Judgement, Verdict, judge_answer, judge_failure
from ssf.rules.retry import clamp_retry_after, next_attempt_at
from ssf.rules.targets import LeasedTarget

OpenSecret = Callable[[str, str], str]
"""Decrypts the `authorization_header` of the target of this name."""

_DESCRIPTION_MAX_CHARS = 1_000
_INTERNAL_FAULT = "The transmitter could not make or send this SET; its log says why."


class Pusher:
    """Sends one SET to one receiver and says what came of it."""

    def __init__(
        self,
        *,
        signer: SetSigner,
        egress: EgressClient,
        clock: Clock,
        random: Callable[[], float],
        open_secret: OpenSecret,
        log: Log,
    ) -> None:
        self._signer = signer
        self._egress = egress
        self._clock = clock
        self._random = random
        self._open_secret = open_secret
        self._log = log

    async def attempt(self, target: LeasedTarget, delivery: DueDelivery) -> Recorded:
        """Pushes a delivery once. Every answer and every failure becomes an outcome."""
        try:
            return await self._attempt(target, delivery)
        except EgressFailed as failure:
            return self._recorded(
                target, delivery, judge_failure(failure.outcome), description=failure.description
            )
        except Exception as error:  # noqa: BLE001 - one SET that we cannot handle must not stop the others
            self._log.error(
                "push.internal_fault",
                target=target.id,
                jti=delivery.jti,
                event_id=delivery.event_id,
                **origin_of(error),
            )
            return self._recorded(
                target, delivery, judge_failure("internal_fault"), description=_INTERNAL_FAULT
            )

    async def _attempt(self, target: LeasedTarget, delivery: DueDelivery) -> Recorded:
        sealed = target.authorization_sealed
        headers = required_headers(
            None if sealed is None else self._open_secret(target.name, sealed)
        )
        token = self._signer.token(delivery, target.audience, target.shape)
        answer = await self._egress.post(
            target.endpoint_url, headers=headers, body=token.encode("ascii")
        )
        failure_body = parse_error_body(answer.body, answer.content_type)
        judgement = judge_answer(
            status=answer.status,
            err=None if failure_body is None else failure_body.err,
            retry_after_seconds=parse_retry_after(answer.retry_after, now=self._clock.now()),
            invalid_key_count=delivery.invalid_key_count,
        )
        return self._recorded(
            target,
            delivery,
            judgement,
            status=answer.status,
            description=None if failure_body is None else failure_body.description,
        )

    def _recorded(
        self,
        target: LeasedTarget,
        delivery: DueDelivery,
        judgement: Judgement,
        *,
        status: int | None = None,
        description: str | None = None,
    ) -> Recorded:
        now = self._clock.now()
        # Being told to wait is no failure, so it takes nothing from the schedule.
        attempts = delivery.attempts + (judgement.gate_seconds is None)
        again_at: int | None = None
        if judgement.verdict is Verdict.RETRY:
            again_at = next_attempt_at(
                attempt=max(attempts, 1),
                failed_at=now,
                first_due_at=max(delivery.first_due_at, target.resumed_at),
                policy=target.retry_policy,
                random=self._random,
                retry_after_seconds=judgement.exact_wait_seconds,
                min_wait_seconds=judgement.min_wait_seconds,
            )
        if judgement.verdict is Verdict.DELIVERED:
            state = DeliveryState.DELIVERED
        else:
            state = DeliveryState.DEAD if again_at is None else DeliveryState.WAITING
        return Recorded(
            delivery_id=delivery.id,
            state=state,
            attempts=attempts,
            invalid_key_count=delivery.invalid_key_count + (judgement.outcome == "invalid_key"),
            next_attempt_at=again_at or now,
            outcome=judgement.outcome,
            status=status,
            description=None if description is None else description[:_DESCRIPTION_MAX_CHARS],
            at=now,
            gate_seconds=judgement.gate_seconds,
        )


def parse_retry_after(values: Sequence[str], *, now: int) -> int | None:
    """Whole seconds in [1 s, 24 h] that a receiver asked for (RFC 9110 §10.2.3).

    Args:
        values: Every `Retry-After` line of the answer; more than one is garbage.
        now: Microseconds UTC, against which a date is measured; a past one means 1 s.

    Returns:
        None when there is none, or none that can be read.
    """
    if len(values) != 1:
        return None
    value = values[0].strip()
    if re.fullmatch(r"[0-9]{1,18}", value):
        return clamp_retry_after(int(value))
    try:
        date = email.utils.parsedate_to_datetime(value)
        return clamp_retry_after(date.timestamp() - now / MICROSECONDS)
    except (ValueError, OverflowError):
        return None
