"""Which scope permits which action (RFC 6750 §3.1; CAEP interoperability profile §2.7.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.rules.access import ADMIN_SCOPES, RECEIVER_SCOPES, Scope, require_any_scope
from ssf.rules.errors import InsufficientScope

scope_sets = st.frozensets(st.sampled_from(Scope))
sufficient_scopes = st.lists(st.sampled_from(Scope), min_size=1, unique=True).map(tuple)


@given(scope_sets, sufficient_scopes)
def test_a_caller_passes_exactly_when_it_holds_one_of_the_sufficient_scopes(held, sufficient):
    if held & set(sufficient):
        require_any_scope(held, sufficient)
        return
    with pytest.raises(InsufficientScope) as caught:
        require_any_scope(held, sufficient)
    assert caught.value.scope == sufficient[0].value


@pytest.mark.parametrize("held", [frozenset(), ADMIN_SCOPES])
def test_the_refusal_names_the_scope_to_ask_for(held):
    with pytest.raises(InsufficientScope) as caught:
        require_any_scope(held, (Scope.SSF_MANAGE, Scope.SSF_READ))
    assert caught.value.scope == "ssf.manage"
    assert "ssf.manage" in caught.value.description
    assert type(caught.value.scope) is str


@given(scope_sets, scope_sets, sufficient_scopes)
def test_further_scopes_take_nothing_away(held, further, sufficient):
    try:
        require_any_scope(held, sufficient)
    except InsufficientScope:
        return
    require_any_scope(held | further, sufficient)


def test_the_scopes_have_their_published_names():
    assert {scope.value for scope in Scope} == {
        "ssf.read",
        "ssf.manage",
        "ssf.manage.poll",
        "events.write",
        "admin",
    }


def test_a_receiver_is_no_operator_and_an_operator_is_no_receiver():
    assert {scope.value for scope in RECEIVER_SCOPES} == {
        "ssf.read",
        "ssf.manage",
        "ssf.manage.poll",
    }
    assert {scope.value for scope in ADMIN_SCOPES} == {"admin", "events.write"}
    assert not RECEIVER_SCOPES & ADMIN_SCOPES


@pytest.mark.parametrize("scope", sorted(RECEIVER_SCOPES))
def test_one_scope_of_a_receiver_does_not_imply_another(scope):
    for other in RECEIVER_SCOPES - {scope}:
        with pytest.raises(InsufficientScope):
            require_any_scope(frozenset({scope}), (other,))
