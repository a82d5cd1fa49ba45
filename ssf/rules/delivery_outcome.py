"""What the answer to a push means for the delivery (RFC 8935 §2.3, §2.4).

| answer | outcome | what follows |
|---|---|---|
| any 2xx | `delivered` (202 is the RFC's; another one is noted) | done |
| 400 with a permanent `err` | that `err` | dead: this SET only |
| 400 with `invalid_key` | `invalid_key` | try again after 30 s and 5 min, then dead |
| 400 with `authentication_failed` or `access_denied`, 401, 403, 404, 410 | that word | try again, at least 60 s later |
| 400 without a readable `err`, 413, 415, other 4xx | `rejected` | dead |
| 408, 425, 5xx | `server_error` | try again |
| 429, 503 with `Retry-After` | `throttled` | the whole target waits so long |
| 3xx | `redirect` | never followed; try again |
| 1xx | `protocol_error` | try again |
| no answer | `timeout`, `connection_error`, `tls_error`, ... | try again |
"""

from dataclasses import dataclass
from enum import Enum, auto

_MIN_WAIT_SECONDS = 60
INVALID_KEY_WAITS_SECONDS = (30, 300)

_PERMANENT_ERRS = frozenset(
    {"invalid_request", "invalid_issuer", "invalid_audience", "invalid_state"}
)
_CREDENTIAL_ERRS = frozenset({"authentication_failed", "access_denied"})
_CREDENTIAL_STATUSES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    410: "receiver_gone",
}
_TRANSIENT_STATUSES = frozenset({408, 425})
_THROTTLED_STATUSES = frozenset({429, 503})


class Verdict(Enum):
    """What is to happen with the delivery."""

    DELIVERED = auto()
    RETRY = auto()
    DEAD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What an attempt came to.

    Attributes:
        verdict: What is to happen.
        outcome: Stable word for logs and lists.
        min_wait_seconds: A retry comes no sooner.
        exact_wait_seconds: A retry comes exactly then, instead of by the schedule; None: schedule.
        gate_seconds: The whole target is left alone so long; None when it did not ask.
    """

    verdict: Verdict
    outcome: str
    min_wait_seconds: int = 0
    exact_wait_seconds: int | None = None
    gate_seconds: int | None = None


def judge_failure(outcome: str) -> Judgement:
    """An attempt that got no answer is tried again, whatever the reason."""
    return Judgement(verdict=Verdict.RETRY, outcome=outcome)


def judge_answer(
    *, status: int, err: str | None, retry_after_seconds: int | None, invalid_key_count: int
) -> Judgement:
    """What the receiver's answer means.

    Args:
        status: HTTP status of the answer.
        err: `err` of an RFC 8935 error body; None when there was none that could be read.
        retry_after_seconds: `Retry-After`, clamped; None when absent or unreadable.
        invalid_key_count: How many earlier attempts were answered `invalid_key`.
    """
    if 200 <= status < 300:
        return Judgement(verdict=Verdict.DELIVERED, outcome="delivered")
    if status in _THROTTLED_STATUSES and retry_after_seconds is not None:
        return Judgement(
            verdict=Verdict.RETRY,
            outcome="throttled",
            exact_wait_seconds=retry_after_seconds,
            gate_seconds=retry_after_seconds,
        )
    if status == 400:
        return _judge_bad_request(err, invalid_key_count)
    if status in _CREDENTIAL_STATUSES:
        return _retry_later(_CREDENTIAL_STATUSES[status])
    if status == 429:
        return Judgement(verdict=Verdict.RETRY, outcome="throttled")
    if status >= 500 or status in _TRANSIENT_STATUSES:
        return judge_failure("server_error")
    if 300 <= status < 400:
        return judge_failure("redirect")
    if status < 200:
        return judge_failure("protocol_error")
    return Judgement(verdict=Verdict.DEAD, outcome="rejected")


def _judge_bad_request(err: str | None, invalid_key_count: int) -> Judgement:
    if err == "invalid_key":
        if invalid_key_count >= len(INVALID_KEY_WAITS_SECONDS):
            return Judgement(verdict=Verdict.DEAD, outcome=err)
        return Judgement(
            verdict=Verdict.RETRY,
            outcome=err,
            exact_wait_seconds=INVALID_KEY_WAITS_SECONDS[invalid_key_count],
        )
    if err in _CREDENTIAL_ERRS:
        return _retry_later(err)
    # The registry of codes is open. A code that we do not know, like a 400 without one, is about
    # this SET and not about the moment, so it is as permanent as the ones that we do know.
    return Judgement(verdict=Verdict.DEAD, outcome=err if err in _PERMANENT_ERRS else "rejected")


def _retry_later(outcome: str) -> Judgement:
    return Judgement(verdict=Verdict.RETRY, outcome=outcome, min_wait_seconds=_MIN_WAIT_SECONDS)
