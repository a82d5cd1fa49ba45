"""What an answer to a push means: RFC 8935 §2.3 and §2.4, and rows F-41 to F-51 of the catalogue.

The first part asks the pure rule; the second lets a real receiver answer and looks at what was
written down.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.push import PushError
from ssf.rules.delivery_outcome import Judgement, Verdict, judge_answer, judge_failure
from tests.clients import SESSION_REVOKED
from tests.fakes import Answer

statuses = st.integers(min_value=100, max_value=999)
errs = st.none() | st.sampled_from([error.value for error in PushError]) | st.text(max_size=20)
waits = st.none() | st.integers(min_value=1, max_value=86_400)
counts = st.integers(min_value=0, max_value=100)


def judge(
    status: int, err: str | None = None, *, retry_after: int | None = None, earlier: int = 0
) -> Judgement:
    """Judges an answer after so many earlier ones that said `invalid_key`."""
    return judge_answer(
        status=status, err=err, retry_after_seconds=retry_after, invalid_key_count=earlier
    )


def retry(outcome: str, **further: int) -> Judgement:
    return Judgement(verdict=Verdict.RETRY, outcome=outcome, **further)


def dead(outcome: str) -> Judgement:
    return Judgement(verdict=Verdict.DEAD, outcome=outcome)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 226, 299])
def test_f_41_every_2xx_is_delivered(status):
    assert judge(status) == Judgement(verdict=Verdict.DELIVERED, outcome="delivered")


@pytest.mark.parametrize("err", [None, "invalid_request", "invalid_key"])
def test_f_41_a_body_does_not_undo_a_202(err):
    assert judge(202, err, retry_after=60).verdict is Verdict.DELIVERED


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_f_43_a_redirect_is_a_failure_to_be_tried_again(status):
    assert judge(status) == retry("redirect")


@pytest.mark.parametrize("earlier", [0, 2, 50])
@pytest.mark.parametrize(
    "err", ["invalid_request", "invalid_issuer", "invalid_audience", "invalid_state"]
)
def test_f_44_a_permanent_error_code_ends_this_set_at_once(err, earlier):
    assert judge(400, err, earlier=earlier) == dead(err)


@pytest.mark.parametrize("err", [None, "", "teapot", "INVALID_KEY", "invalid_key "])
def test_a_400_without_a_code_that_we_know_ends_this_set(err):
    assert judge(400, err) == dead("rejected")


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        pytest.param(0, retry("invalid_key", exact_wait_seconds=30), id="first: 30 s"),
        pytest.param(1, retry("invalid_key", exact_wait_seconds=300), id="second: 5 min"),
        pytest.param(2, dead("invalid_key"), id="third: dead"),
        pytest.param(40, dead("invalid_key"), id="fortieth: dead"),
    ],
)
def test_f_45_invalid_key_is_tried_again_after_30_s_and_5_min_and_then_dead(earlier, expected):
    assert judge(400, "invalid_key", earlier=earlier) == expected


@pytest.mark.parametrize("earlier", [0, 99])
@pytest.mark.parametrize(
    ("status", "err", "outcome"),
    [
        (400, "authentication_failed", "authentication_failed"),
        (400, "access_denied", "access_denied"),
        (401, None, "unauthorized"),
        (401, "invalid_request", "unauthorized"),
        (403, None, "forbidden"),
        (404, None, "not_found"),
    ],
)
def test_f_46_trouble_with_credentials_is_tried_again_after_a_minute_at_the_earliest(
    status, err, outcome, earlier
):
    assert judge(status, err, earlier=earlier) == retry(outcome, min_wait_seconds=60)


@pytest.mark.parametrize("earlier", [0, 99])
def test_f_49_a_receiver_that_is_gone_loses_nothing(earlier):
    judgement = judge(410, earlier=earlier)
    assert (judgement.verdict, judgement.outcome) == (Verdict.RETRY, "receiver_gone")


@pytest.mark.parametrize("wait_seconds", [1, 5, 86_400])
@pytest.mark.parametrize("status", [429, 503])
def test_f_51_retry_after_holds_the_whole_target_so_long(status, wait_seconds):
    assert judge(status, retry_after=wait_seconds) == retry(
        "throttled", exact_wait_seconds=wait_seconds, gate_seconds=wait_seconds
    )


@pytest.mark.parametrize(("status", "outcome"), [(429, "throttled"), (503, "server_error")])
def test_f_51_without_a_readable_retry_after_the_schedule_decides(status, outcome):
    assert judge(status) == retry(outcome)


@pytest.mark.parametrize("status", [202, 302, 400, 401, 404, 410, 413, 500, 502])
def test_f_51_retry_after_means_nothing_on_another_status(status):
    assert judge(status, retry_after=7) == judge(status)


@pytest.mark.parametrize("status", [408, 425, 500, 501, 502, 504, 505, 507, 511, 599, 600, 999])
def test_a_failure_of_the_server_is_tried_again(status):
    assert judge(status) == retry("server_error")


@pytest.mark.parametrize(
    "status", [402, 405, 406, 409, 411, 413, 414, 415, 418, 422, 426, 431, 451]
)
def test_any_other_4xx_ends_this_set(status):
    assert judge(status) == dead("rejected")


@pytest.mark.parametrize("status", [100, 101, 103, 199])
def test_an_interim_answer_is_no_answer(status):
    assert judge(status) == retry("protocol_error")


@pytest.mark.parametrize(
    "outcome", ["timeout", "connection_error", "tls_error", "protocol_error", "blocked_address"]
)
def test_no_answer_is_tried_again_whatever_the_reason(outcome):
    assert judge_failure(outcome) == retry(outcome)


@given(statuses, errs, waits, counts)
def test_a_set_is_delivered_exactly_by_a_2xx(status, err, retry_after, earlier):
    verdict = judge(status, err, retry_after=retry_after, earlier=earlier).verdict
    assert (verdict is Verdict.DELIVERED) is (200 <= status <= 299)


@given(statuses, errs, waits, counts)
def test_only_a_4xx_can_end_a_set(status, err, retry_after, earlier):
    if judge(status, err, retry_after=retry_after, earlier=earlier).verdict is Verdict.DEAD:
        assert 400 <= status <= 499


@given(statuses, errs, waits, counts)
def test_waits_belong_to_retries_and_a_gate_is_what_the_receiver_asked_for(
    status, err, retry_after, earlier
):
    judgement = judge(status, err, retry_after=retry_after, earlier=earlier)
    if judgement.verdict is not Verdict.RETRY:
        assert judgement.exact_wait_seconds is judgement.gate_seconds is None
        assert judgement.min_wait_seconds == 0
    if judgement.gate_seconds is not None:
        assert status in (429, 503)
        assert judgement.gate_seconds == judgement.exact_wait_seconds == retry_after


@given(statuses, st.text(min_size=1, max_size=20))
def test_the_receivers_words_never_become_our_outcome(status, err):
    known = {error.value for error in PushError}
    assert err in known or judge(status, err).outcome != err


# ------------------------------------------------------------------ with a receiver that answers


def refusing(err: str) -> Answer:
    body = json.dumps({"err": err, "description": "No."}).encode()
    return Answer(status=400, body=body, headers={"Content-Type": "application/json"})


def nth_subject(number: int) -> dict[str, str]:
    return {"format": "email", "email": f"user{number}@example.com"}


async def status_of(receiver: Any, stream: dict[str, Any]) -> dict[str, Any]:
    response = await receiver.http.get("/ssf/v1/status", params={"stream_id": stream["stream_id"]})
    found: dict[str, Any] = response.json()
    return found


async def test_f_41_a_202_is_written_down_as_delivered(transmitter, push_receiver):
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["last_outcome"], delivery["last_status"]) == (
        "delivered",
        "delivered",
        202,
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_f_43_the_target_of_a_redirect_is_never_contacted(transmitter, push_receiver, status):
    push_receiver.answer = lambda _: Answer(
        status=status, headers={"Location": f"{push_receiver.origin}/elsewhere"}
    )
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.deliver()
    assert [pushed.path for pushed in push_receiver.pushed] == ["/events"]
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["last_outcome"]) == ("waiting", "redirect")


async def test_f_44_a_refused_set_is_dead_and_the_next_one_of_its_subject_goes_on(
    transmitter, push_receiver
):
    push_receiver.answer = lambda _: (
        refusing("invalid_audience") if not push_receiver.pushed else Answer()
    )
    receiver = await transmitter.add_receiver()
    stream = await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.emit()
    await transmitter.deliver()
    assert [(d["state"], d["last_outcome"]) for d in await transmitter.deliveries()] == [
        ("dead", "invalid_audience"),
        ("delivered", "delivered"),
    ]
    assert (await status_of(receiver, stream))["status"] == "enabled"


async def test_f_45_the_two_chances_of_invalid_key_are_its_own(transmitter, push_receiver, clock):
    """An outage before it does not use them up: 30 s and 5 min, then dead."""
    answers = [Answer(status=500)] * 3 + [refusing("invalid_key")] * 3
    push_receiver.answer = lambda _: answers[len(push_receiver.pushed)]
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    waited_seconds = []
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries()
    while delivery["state"] == "waiting":
        waited_seconds.append((delivery["next_attempt_at"] - clock.now()) / 1_000_000)
        clock.advance(waited_seconds[-1])
        await transmitter.deliver()
        [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["last_outcome"]) == ("dead", "invalid_key")
    assert waited_seconds[3:] == [30, 300]


async def test_f_46_a_401_is_tried_again_a_minute_later(transmitter, push_receiver, clock):
    push_receiver.answer = lambda _: Answer(status=401)
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.deliver()
    clock.advance(59.999)
    assert await transmitter.deliver() == 0
    clock.advance(0.001)
    push_receiver.answer = lambda _: Answer()
    assert await transmitter.deliver() == 1
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "delivered"


@pytest.mark.parametrize("status", [429, 503])
async def test_f_51_the_gate_closes_for_the_whole_stream_and_for_no_other(
    transmitter, push_receiver, clock, status
):
    push_receiver.answer = lambda pushed: (
        Answer(status=status, headers={"Retry-After": "100"})
        if pushed.path == "/throttled"
        else Answer()
    )
    throttled, other = await transmitter.add_receiver(), await transmitter.add_receiver()
    await throttled.create_push_stream(f"{push_receiver.origin}/throttled")
    await other.create_push_stream(f"{push_receiver.origin}/other")
    await transmitter.emit(subject=nth_subject(1))
    await transmitter.deliver()
    await transmitter.emit(subject=nth_subject(2))
    clock.advance(99)
    await transmitter.deliver()
    paths = [pushed.path for pushed in push_receiver.pushed]
    assert (paths.count("/throttled"), paths.count("/other")) == (1, 2)
    clock.advance(1)
    push_receiver.answer = lambda _: Answer()
    await transmitter.deliver()
    paths = [pushed.path for pushed in push_receiver.pushed]
    assert (paths.count("/throttled"), paths.count("/other")) == (3, 2)


@pytest.mark.parametrize(
    ("header", "wait_seconds"),
    [
        pytest.param("5", 5, id="5"),
        pytest.param("999999999", 86_400, id="999999999"),
        pytest.param("Fri, 15 Jan 2027 08:00:10 GMT", 10, id="a date 10 s ahead"),
        pytest.param("Fri, 15 Jan 2010 08:00:00 GMT", 1, id="a past date"),
    ],
)
async def test_f_51_a_readable_retry_after_is_waited_exactly(
    transmitter, push_receiver, clock, header, wait_seconds
):
    push_receiver.answer = lambda _: Answer(status=503, headers={"Retry-After": header})
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries()
    assert delivery["next_attempt_at"] == clock.now() + wait_seconds * 1_000_000


@pytest.mark.parametrize("header", ["-1", "1e99", "banana", "", "5, 6"])
async def test_f_51_garbage_in_retry_after_means_the_schedule(
    transmitter, push_receiver, clock, header
):
    push_receiver.answer = lambda _: Answer(status=503, headers={"Retry-After": header})
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries()
    assert delivery["last_outcome"] == "server_error"
    assert 1_000_000 <= delivery["next_attempt_at"] - clock.now() <= 5_000_000


async def test_f_51_a_throttled_attempt_is_not_charged(transmitter, push_receiver, clock):
    """Neither the place in the schedule nor the two chances of `invalid_key` are used up by it."""
    push_receiver.answer = lambda _: Answer(status=429, headers={"Retry-After": "1"})
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    for _ in range(3):
        await transmitter.deliver()
        clock.advance(1)
    push_receiver.answer = lambda _: refusing("invalid_key")
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "waiting"
    assert delivery["next_attempt_at"] == clock.now() + 30_000_000


async def test_f_44_a_dead_set_is_listed_with_the_receivers_words(transmitter, push_receiver):
    push_receiver.answer = lambda _: refusing("invalid_issuer")
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries(state="dead")
    assert delivery["event_type"] == SESSION_REVOKED
    assert (delivery["last_status"], delivery["last_description"]) == (400, "No.")
