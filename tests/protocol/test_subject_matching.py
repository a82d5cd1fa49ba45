"""When an event's subject is one that a receiver added: SSF 1.0 §8.1.3.1."""

from typing import Any

import pytest
from hypothesis import given

from ssf.protocol.subjects import covers, parse_subject, subjects_match
from tests.protocol.strategies import complex_subjects, identifiers, simple_identifiers

EMAIL_A = {"format": "email", "email": "a@example.com"}
USER_U = {"format": "iss_sub", "iss": "https://i.example", "sub": "u"}
TENANT_T = {"format": "opaque", "id": "t"}
DEVICE_D = {"format": "opaque", "id": "d"}
GROUP_1 = {"format": "opaque", "id": "g1"}
GROUP_2 = {"format": "opaque", "id": "g2"}


def complex_of(**members: Any) -> dict[str, Any]:
    return {"format": "complex", **members}


@pytest.mark.parametrize(
    ("added", "event", "expected"),
    [
        pytest.param(EMAIL_A, EMAIL_A, True, id="email a | email a"),
        pytest.param(EMAIL_A, USER_U, False, id="email a | iss_sub of the same person"),
        pytest.param(
            complex_of(tenant=TENANT_T), complex_of(tenant=TENANT_T, user=USER_U), True,
            id="tenant T | tenant T, user U",
        ),
        pytest.param(
            complex_of(user=USER_U, device=DEVICE_D), complex_of(user=USER_U), True,
            id="user U, device D | user U",
        ),
        pytest.param(
            complex_of(user=USER_U, group=GROUP_1), complex_of(user=USER_U, group=GROUP_2), False,
            id="user U, group 1 | user U, group 2",
        ),
        pytest.param(
            complex_of(device=DEVICE_D), complex_of(user=USER_U), True, id="device D | user U"
        ),
        pytest.param(USER_U, complex_of(user=USER_U), False, id="simple U | user U"),
        pytest.param(complex_of(user=USER_U), USER_U, False, id="user U | simple U"),
        pytest.param(
            complex_of(user=USER_U, printer=DEVICE_D), complex_of(user=USER_U), True,
            id="custom member in one only",
        ),
        pytest.param(
            complex_of(printer=DEVICE_D), complex_of(printer=GROUP_1), False,
            id="custom member in both, different",
        ),
        pytest.param(
            complex_of(user={"format": "email", "email": "a@EXAMPLE.com"}),
            complex_of(user=EMAIL_A), True, id="members compared in canonical form",
        ),
    ],
)  # fmt: skip
def test_matching_follows_the_table_row_by_row(added, event, expected):
    assert subjects_match(parse_subject(added), parse_subject(event)) is expected


@pytest.mark.parametrize(
    ("removed", "event", "expected"),
    [
        pytest.param(EMAIL_A, EMAIL_A, True, id="same simple"),
        pytest.param(EMAIL_A, USER_U, False, id="other simple"),
        pytest.param(complex_of(device=DEVICE_D), complex_of(user=USER_U), False, id="no common member"),
        pytest.param(
            complex_of(tenant=TENANT_T), complex_of(tenant=TENANT_T, user=USER_U), True,
            id="every removed member is in the event",
        ),
        pytest.param(
            complex_of(user=USER_U, device=DEVICE_D), complex_of(user=USER_U), False,
            id="the event lacks a removed member",
        ),
        pytest.param(complex_of(user=USER_U), USER_U, False, id="complex and simple"),
    ],
)  # fmt: skip
def test_a_removal_covers_only_what_it_names(removed, event, expected):
    assert covers(parse_subject(removed), parse_subject(event)) is expected


@given(identifiers)
def test_every_subject_matches_and_covers_itself(value):
    subject = parse_subject(value)
    assert subjects_match(subject, subject)
    assert covers(subject, subject)


@given(identifiers, identifiers)
def test_matching_does_not_depend_on_who_added_and_who_sent(one, other):
    first, second = parse_subject(one), parse_subject(other)
    assert subjects_match(first, second) == subjects_match(second, first)


@given(complex_subjects, complex_subjects)
def test_what_covers_also_matches(one, other):
    removed, event = parse_subject(one), parse_subject(other)
    assert subjects_match(removed, event) or not covers(removed, event)


@given(complex_subjects, complex_subjects)
def test_complex_matching_is_the_algorithm_of_the_specification(one, other):
    """SSF 1.0 §8.1.3.1 as it is written: look at the union of the member names."""
    added, event = parse_subject(one), parse_subject(other)
    expected = not any(
        name in one and name in other
        and parse_subject(one[name]).canonical != parse_subject(other[name]).canonical
        for name in (one.keys() | other.keys()) - {"format"}
    )  # fmt: skip
    assert subjects_match(added, event) is expected


@given(simple_identifiers, simple_identifiers)
def test_simple_subjects_match_exactly_when_their_keys_are_equal(one, other):
    first, second = parse_subject(one), parse_subject(other)
    assert subjects_match(first, second) == (first.key == second.key)
