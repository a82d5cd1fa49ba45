"""What `SetVerifier` believes, what it refuses with which code, and in which order it looks."""

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from keys.errors import KeysUnavailable
from keys.keyring import Keyring, generate_signing_key
from keys.published_jwks import published_jwks
from keys.remote_jwks import RemoteJwks, StaticJwks
from keys.signer import sign_set
from receiver import IssuerKeysUnavailable, ReceiverError, SetRejected, SetVerifier, TryAgainLater
from ssf.protocol.caep_events import CredentialChange, SessionRevoked
from ssf.protocol.events import UnknownEvent
from tests.keys.tokens import b64, join, raw_jwk
from tests.receiver.sets import (
    ABSENT,
    AUDIENCE,
    COMPLIANCE_CHANGE,
    CREDENTIAL_CHANGE,
    CUSTOM,
    EMAIL,
    ISSUER,
    KID,
    NOW,
    SESSION_REVOKED,
    SUBJECT,
    Draft,
    jwks_of,
    verifier_for,
)

Change = Callable[[Draft], Draft]


async def refusal(verifier: SetVerifier, body: bytes | str) -> SetRejected:
    with pytest.raises(SetRejected) as caught:
        await verifier.verify(body)
    return caught.value


# ------------------------------------------------------------------ what is believed


async def test_a_set_signed_without_our_code_is_verified(issuer_key) -> None:
    token = Draft().compact(issuer_key)
    verified = await verifier_for(issuer_key).verify(token.encode())
    assert (verified.issuer, verified.jti, verified.txn) == (ISSUER, "jti-1", "txn-1")
    assert dict(verified.events) == {SESSION_REVOKED: SessionRevoked(event_timestamp=NOW)}
    assert verified.event == SessionRevoked(event_timestamp=NOW)
    assert verified.subject.identifier == SUBJECT
    assert verified.token.aud == (AUDIENCE,)
    assert verified.raw == token


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_a_set_of_our_signer_is_verified_with_each_algorithm(algorithm: str) -> None:
    key = generate_signing_key(algorithm, created_at=0)
    verifier = SetVerifier(
        issuer=ISSUER,
        audience=AUDIENCE,
        keys=StaticJwks(published_jwks(Keyring([key]))),
        algorithms={"RS256", "PS256", "ES256", "EdDSA"},
        now=lambda: NOW,
    )
    assert (await verifier.verify(sign_set(Draft().claims, key))).jti == "jti-1"


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
async def test_a_set_signed_without_our_code_is_verified_with_each_algorithm(
    algorithm: str, issuer_key
) -> None:
    private = {
        "PS256": issuer_key,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }[algorithm]
    jwks = StaticJwks({"keys": [raw_jwk(private.public_key(), kid=KID)]})
    draft = replace(Draft(), signed_as=algorithm).heading(alg=algorithm)
    allowing = verifier_for(issuer_key, keys=jwks, algorithms={"RS256", algorithm})
    assert (await allowing.verify(draft.compact(private))).jti == "jti-1"
    refused = await refusal(verifier_for(issuer_key, keys=jwks), draft.compact(private))
    assert (refused.err, refused.description) == (
        "invalid_key",
        "The alg of the token is missing or not acceptable.",
    )


ACCEPTED: dict[str, Change] = {
    "typ as a media type in capitals": lambda d: d.heading(typ="Application/SECEVENT+JWT"),
    "unknown header member": lambda d: d.heading(made_up={"x": [1]}),
    "unknown claim": lambda d: d.claiming(made_up={"x": [1]}),
    "unknown member in the event": lambda d: d.claiming(events={SESSION_REVOKED: {"new": 1}}),
    "unknown member in the subject": lambda d: d.claiming(sub_id={**SUBJECT, "new": 1}),
    "empty event": lambda d: d.claiming(events={SESSION_REVOKED: {}}),
    "aud as an array": lambda d: d.claiming(aud=["https://other.example", AUDIENCE]),
    "iat as late as the leeway allows": lambda d: d.claiming(iat=NOW + 60),
    "iat long ago": lambda d: d.claiming(iat=1),
    "iat with a fraction": lambda d: d.claiming(iat=NOW + 0.5),
    "toe in the future": lambda d: d.claiming(toe=NOW + 10_000),
    "no txn": lambda d: d.claiming(txn=ABSENT),
    "subject of a private format": lambda d: d.claiming(sub_id={"format": "x-ours", "n": 1}),
}


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
async def test_a_set_is_accepted_with(change: Change, issuer_key) -> None:
    verified = await verifier_for(issuer_key).verify(change(Draft()).compact(issuer_key))
    assert verified.jti == "jti-1"


async def test_a_recipient_may_go_by_several_names(issuer_key) -> None:
    verifier = verifier_for(issuer_key, audience=["https://new.example", AUDIENCE])
    assert (await verifier.verify(Draft().compact(issuer_key))).jti == "jti-1"


async def test_several_events_in_one_set_are_all_read(issuer_key) -> None:
    payload = {"credential_type": "password", "change_type": "update"}
    draft = Draft().claiming(events={CUSTOM: {"a": 1}, CREDENTIAL_CHANGE: payload})
    verified = await verifier_for(issuer_key).verify(draft.compact(issuer_key))
    assert list(verified.events) == [CUSTOM, CREDENTIAL_CHANGE]
    assert verified.events[CUSTOM] == UnknownEvent(uri=CUSTOM, payload={"a": 1})
    assert isinstance(verified.event, CredentialChange)


async def test_an_unknown_event_type_is_an_unknown_event(issuer_key) -> None:
    draft = Draft().claiming(events={CUSTOM: {"a": 1}})
    verified = await verifier_for(issuer_key).verify(draft.compact(issuer_key))
    assert verified.event == UnknownEvent(uri=CUSTOM, payload={"a": 1})


async def test_a_verified_set_shows_neither_token_nor_subject_and_cannot_be_changed(
    issuer_key,
) -> None:
    token = Draft().compact(issuer_key)
    verified = await verifier_for(issuer_key).verify(token)
    assert repr(verified) == (
        f"VerifiedSet(iss='{ISSUER}', jti='jti-1', events=['{SESSION_REVOKED}'])"
    )
    with pytest.raises(FrozenInstanceError):
        verified.raw = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        verified.events[CUSTOM] = verified.event  # type: ignore[index]


# ------------------------------------------------------------------ one fault for each step

FAR_TOO_LONG = "x" * 140_000

STEPS: dict[str, tuple[Change, str, str]] = {
    "size": (
        lambda d: d.claiming(padding=FAR_TOO_LONG),
        "invalid_request",
        "The token is too long.",
    ),
    "jws": (
        lambda d: replace(d, suffix="="),
        "invalid_request",
        "A part of the token is not base64url without padding.",
    ),
    "typ": (
        lambda d: d.heading(typ="JWT"),
        "invalid_request",
        "The typ of the token is missing or not acceptable.",
    ),
    "alg": (
        lambda d: d.heading(alg="RS512"),
        "invalid_key",
        "The alg of the token is missing or not acceptable.",
    ),
    "kid": (
        lambda d: d.heading(kid="another"),
        "invalid_key",
        "The issuer publishes no usable key of this kid.",
    ),
    "signature": (
        lambda d: replace(d, signer="stranger"),
        "invalid_key",
        "The signature is not valid.",
    ),
    "iss": (
        lambda d: d.claiming(iss="https://other.example"),
        "invalid_issuer",
        "The issuer is not acceptable.",
    ),
    "aud": (
        lambda d: d.claiming(aud="https://other.example"),
        "invalid_audience",
        "The audience does not name this recipient.",
    ),
    "iat": (
        lambda d: d.claiming(iat=NOW + 61),
        "invalid_request",
        "The claim iat is missing, malformed or in the future.",
    ),
    "exp": (
        lambda d: d.claiming(exp=NOW + 3600),
        "invalid_request",
        "The claim exp must not be present.",
    ),
    "events": (
        lambda d: d.claiming(events={}),
        "invalid_request",
        "The claim events is missing or malformed.",
    ),
    "sub_id": (
        lambda d: d.claiming(sub_id=ABSENT),
        "invalid_request",
        "The claim sub_id is missing or malformed.",
    ),
}
"""In the order in which a verifier must look."""


def signed(draft: Draft, issuer_key: Any, stranger_key: Any) -> str:
    signer = stranger_key if draft.signer == "stranger" else None
    return replace(draft, signer=signer).compact(issuer_key)


@pytest.mark.parametrize("step", STEPS)
async def test_a_set_with_one_fault_is_refused_at_step(step: str, issuer_key, stranger_key) -> None:
    change, err, description = STEPS[step]
    body = signed(change(Draft()), issuer_key, stranger_key)
    refused = await refusal(verifier_for(issuer_key), body)
    assert (refused.err, refused.description) == (err, description)


@pytest.mark.parametrize(("earlier", "later"), list(itertools.combinations(STEPS, 2)))
async def test_of_two_faults_the_earlier_is_reported(
    earlier: str, later: str, issuer_key, stranger_key
) -> None:
    draft = STEPS[earlier][0](STEPS[later][0](Draft()))
    refused = await refusal(verifier_for(issuer_key), signed(draft, issuer_key, stranger_key))
    assert (refused.err, refused.description) == STEPS[earlier][1:]


@pytest.mark.parametrize("first", STEPS)
async def test_of_all_faults_from_a_step_on_that_step_is_reported(
    first: str, issuer_key, stranger_key
) -> None:
    draft = Draft()
    for step in list(STEPS)[list(STEPS).index(first) :]:
        draft = STEPS[step][0](draft)
    refused = await refusal(verifier_for(issuer_key), signed(draft, issuer_key, stranger_key))
    assert (refused.err, refused.description) == STEPS[first][1:]


async def test_no_key_is_looked_up_for_a_token_that_is_refused_before(issuer_key) -> None:
    """Strangers must not be able to make us call the issuer with rubbish."""

    class NoKeys:
        async def find_key(self, kid: str) -> Any:
            raise AssertionError(kid)

    verifier = verifier_for(issuer_key, keys=NoKeys())
    for step in ("size", "jws", "typ", "alg"):
        await refusal(verifier, STEPS[step][0](Draft()).compact(issuer_key))


# ------------------------------------------------------------------ headers

HEADERS: dict[str, tuple[Change, str]] = {
    "no typ": (lambda d: d.heading(typ=ABSENT), "invalid_request"),
    "typ of access tokens": (lambda d: d.heading(typ="at+jwt"), "invalid_request"),
    "typ that is no string": (lambda d: d.heading(typ=["secevent+jwt"]), "invalid_request"),
    "no alg": (lambda d: d.heading(alg=ABSENT), "invalid_key"),
    "alg none": (lambda d: d.heading(alg="none"), "invalid_key"),
    "alg None": (lambda d: d.heading(alg="None"), "invalid_key"),
    "alg HS256": (lambda d: d.heading(alg="HS256"), "invalid_key"),
    "alg that is not in the allow-list": (lambda d: d.heading(alg="ES256"), "invalid_key"),
    "no kid": (lambda d: d.heading(kid=ABSENT), "invalid_request"),
    "kid that is an object": (lambda d: d.heading(kid={"a": 1}), "invalid_request"),
    "kid of 10 KB": (lambda d: d.heading(kid="k" * 10_000), "invalid_request"),
    "kid that is a path": (lambda d: d.heading(kid="../../key"), "invalid_key"),
    "unknown critical extension": (lambda d: d.heading(crit=["x"], x=1), "invalid_request"),
    "b64": (lambda d: d.heading(b64=False), "invalid_request"),
    "jku": (lambda d: d.heading(jku="https://evil.example/jwks"), "invalid_request"),
    "x5u": (lambda d: d.heading(x5u="https://evil.example/x5"), "invalid_request"),
}


@pytest.mark.parametrize(("change", "err"), HEADERS.values(), ids=HEADERS)
async def test_a_header_is_refused_with(change: Change, err: str, issuer_key) -> None:
    body = change(Draft()).compact(issuer_key)
    assert (await refusal(verifier_for(issuer_key), body)).err == err


async def test_a_key_in_the_header_is_not_believed(issuer_key, stranger_key) -> None:
    draft = replace(Draft(), signer=stranger_key).heading(jwk=raw_jwk(stranger_key.public_key()))
    refused = await refusal(verifier_for(issuer_key), draft.compact(issuer_key))
    assert refused.err == "invalid_request"


@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
async def test_hs256_with_the_public_key_as_secret_is_refused(form: str, issuer_key) -> None:
    public = issuer_key.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = {
        "pem": public.public_bytes(serialization.Encoding.PEM, spki),
        "der": public.public_bytes(serialization.Encoding.DER, spki),
        "jwk": json.dumps(raw_jwk(public)).encode(),
    }[form]
    draft = Draft().heading(alg="HS256")
    unsigned = join(draft.header, draft.claims).rpartition(".")[0]
    mac = hmac.digest(secret, unsigned.encode(), hashlib.sha256)
    refused = await refusal(verifier_for(issuer_key), f"{unsigned}.{b64(mac)}")
    assert refused.err == "invalid_key"


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_none_and_hmac_cannot_be_allowed(algorithm: str, issuer_key) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        verifier_for(issuer_key, algorithms={"RS256", algorithm})


# ------------------------------------------------------------------ what is no JWS at all


def changed_payload(token: str) -> str:
    head, _, signature = token.split(".")
    claims = Draft().claiming(sub_id={"format": "email", "email": "other@example.com"}).claims
    return f"{head}.{b64(json.dumps(claims).encode())}.{signature}"


MANGLED: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "nothing": (lambda token: b"", "invalid_request"),
    "two parts": (lambda token: token.rpartition(".")[0], "invalid_request"),
    "an empty signature": (lambda token: token.rpartition(".")[0] + ".", "invalid_request"),
    "five parts, as encrypted": (lambda token: token + ".e30.e30", "invalid_request"),
    "a million dots": (lambda token: "." * 1_000_000, "invalid_request"),
    "white space around": (lambda token: f" {token}\n", "invalid_request"),
    "characters beyond ASCII": (lambda token: f"{token}\u00e9", "invalid_request"),
    "bytes beyond ASCII": (lambda token: token.encode() + b"\xff", "invalid_request"),
    "JSON serialization": (lambda token: json.dumps({"payload": token}), "invalid_request"),
    "another payload": (changed_payload, "invalid_key"),
    "a signature cut short": (lambda token: token[:-2], "invalid_key"),
}


@pytest.mark.parametrize(("mangle", "err"), MANGLED.values(), ids=MANGLED)
async def test_a_body_is_refused_that_is(
    mangle: Callable[[str], str | bytes], err: str, issuer_key
) -> None:
    body = mangle(Draft().compact(issuer_key))
    assert (await refusal(verifier_for(issuer_key), body)).err == err


PAYLOADS: dict[str, bytes] = {
    "not JSON": b"{",
    "an array": b"[]",
    "a duplicate claim": b'{"iss":"a","iss":"b"}',
    "a duplicate event type": json.dumps(Draft().claims)
    .replace(f'"{SESSION_REVOKED}": {{', f'"{SESSION_REVOKED}": {{}}, "{SESSION_REVOKED}": {{')
    .encode(),
    "NaN": b'{"iat":NaN}',
    "a lone surrogate": rb'{"iss":"\ud800"}',
    "deep nesting": b'{"a":' * 200 + b"1" + b"}" * 200,
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_a_rightly_signed_payload_is_refused_that_is(payload: bytes, issuer_key) -> None:
    body = Draft().compact_of(payload, issuer_key)
    assert (await refusal(verifier_for(issuer_key), body)).err == "invalid_request"


# ------------------------------------------------------------------ claims

CLAIMS: dict[str, tuple[Change, str]] = {
    "no iss": (lambda d: d.claiming(iss=ABSENT), "invalid_request"),
    "iss that is no string": (lambda d: d.claiming(iss=[ISSUER]), "invalid_request"),
    "iss with a slash more": (lambda d: d.claiming(iss=f"{ISSUER}/"), "invalid_issuer"),
    "iss in another case": (lambda d: d.claiming(iss=ISSUER.upper()), "invalid_issuer"),
    "no aud": (lambda d: d.claiming(aud=ABSENT), "invalid_audience"),
    "aud null": (lambda d: d.claiming(aud=None), "invalid_audience"),
    "no audience in aud": (lambda d: d.claiming(aud=[]), "invalid_audience"),
    "aud with only a part of the name": (
        lambda d: d.claiming(aud=AUDIENCE[:-1]),
        "invalid_audience",
    ),
    "aud that is a number": (lambda d: d.claiming(aud=7), "invalid_request"),
    "aud that holds a number": (lambda d: d.claiming(aud=[AUDIENCE, 7]), "invalid_request"),
    "no iat": (lambda d: d.claiming(iat=ABSENT), "invalid_request"),
    "iat that is a string": (lambda d: d.claiming(iat=str(NOW)), "invalid_request"),
    "iat that is a boolean": (lambda d: d.claiming(iat=True), "invalid_request"),
    "iat in milliseconds": (lambda d: d.claiming(iat=NOW * 1000), "invalid_request"),
    "sub": (lambda d: d.claiming(sub="jane"), "invalid_request"),
    "exp null": (lambda d: d.claiming(exp=None), "invalid_request"),
    "no events": (lambda d: d.claiming(events=ABSENT), "invalid_request"),
    "events that are an array": (lambda d: d.claiming(events=[SESSION_REVOKED]), "invalid_request"),
    "an event that is no object": (
        lambda d: d.claiming(events={SESSION_REVOKED: "x"}),
        "invalid_request",
    ),
    "an event type that is no URI": (lambda d: d.claiming(events={"x": {}}), "invalid_request"),
    "no jti": (lambda d: d.claiming(jti=ABSENT), "invalid_request"),
    "empty jti": (lambda d: d.claiming(jti=""), "invalid_request"),
    "jti of 10 KB": (lambda d: d.claiming(jti="j" * 10_000), "invalid_request"),
    "sub_id that is a string": (lambda d: d.claiming(sub_id="jane"), "invalid_request"),
    "sub_id without format": (lambda d: d.claiming(sub_id={"email": EMAIL}), "invalid_request"),
    "sub_id without its member": (
        lambda d: d.claiming(sub_id={"format": "email"}),
        "invalid_request",
    ),
}


@pytest.mark.parametrize(("change", "err"), CLAIMS.values(), ids=CLAIMS)
async def test_claims_are_refused_with(change: Change, err: str, issuer_key) -> None:
    body = change(Draft()).compact(issuer_key)
    assert (await refusal(verifier_for(issuer_key), body)).err == err


EVENTS: dict[str, tuple[dict[str, Any], str]] = {
    "a required member missing": (
        {"previous_status": "compliant"},
        "The member current_status of the event device-compliance-change is missing or malformed.",
    ),
    "a word outside a closed list": (
        {"previous_status": "compliant", "current_status": EMAIL},
        "The member current_status of the event device-compliance-change is missing or malformed.",
    ),
    "a member of the wrong type": (
        {"previous_status": "compliant", "current_status": "compliant", "event_timestamp": "now"},
        "The member event_timestamp of the event device-compliance-change is missing or malformed.",
    ),
    "a wrong type deep inside a member": (
        {
            "previous_status": "compliant",
            "current_status": "compliant",
            "reason_admin": {EMAIL: 1},
        },
        "The member reason_admin of the event device-compliance-change is missing or malformed.",
    ),
}


@pytest.mark.parametrize(("payload", "description"), EVENTS.values(), ids=EVENTS)
async def test_a_known_event_is_refused_with(
    payload: dict[str, Any], description: str, issuer_key
) -> None:
    draft = Draft().claiming(events={COMPLIANCE_CHANGE: payload})
    refused = await refusal(verifier_for(issuer_key), draft.compact(issuer_key))
    assert (refused.err, refused.description) == ("invalid_request", description)


# ------------------------------------------------------------------ what refusals say

EVERY_FAULT: dict[str, Change] = {
    f"{kind} {name}": fault[0]
    for kind, table in (("step", STEPS), ("header", HEADERS), ("claims", CLAIMS))
    for name, fault in table.items()
}


@pytest.mark.parametrize("change", EVERY_FAULT.values(), ids=EVERY_FAULT)
async def test_no_refusal_shows_the_token_or_what_was_expected(
    change: Change, issuer_key, stranger_key
) -> None:
    body = signed(change(Draft()), issuer_key, stranger_key)
    refused = await refusal(verifier_for(issuer_key), body)
    said = f"{refused!r} {refused.description}"
    for secret in (ISSUER, AUDIENCE, EMAIL, "jti-1", SESSION_REVOKED, *body.split(".")):
        assert secret not in said


@pytest.mark.parametrize("change", EVERY_FAULT.values(), ids=EVERY_FAULT)
async def test_not_even_the_causes_of_a_refusal_hold_token_or_subject(
    change: Change, issuer_key, stranger_key
) -> None:
    """Somebody will log the traceback."""
    body = signed(change(Draft()), issuer_key, stranger_key)
    error: BaseException | None = await refusal(verifier_for(issuer_key), body)
    while error is not None:
        for secret in (EMAIL, *(part for part in body.split(".") if part)):
            assert secret not in repr(error) + repr(error.args)
        error = error.__cause__ or error.__context__


# ------------------------------------------------------------------ the issuer's keys


class Issuer:
    """The issuer's JWK Set, and how often it was asked for."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.calls = 0
        self.now_seconds = 1000.0

    async def fetch(self, _url: str) -> bytes:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def jwks(self) -> RemoteJwks:
        return RemoteJwks(
            "https://issuer.example/jwks.json",
            fetch=self.fetch,
            monotonic=lambda: self.now_seconds,
        )


async def test_an_unknown_kid_refreshes_the_jwks_once(issuer_key) -> None:
    issuer = Issuer(json.dumps(jwks_of(issuer_key.public_key())).encode())
    verifier = verifier_for(issuer_key, keys=issuer.jwks())
    await verifier.verify(Draft().compact(issuer_key))
    assert issuer.calls == 1
    issuer.now_seconds += 100
    unknown = Draft().heading(kid="unknown").compact(issuer_key)
    assert (await refusal(verifier, unknown)).err == "invalid_key"
    assert issuer.calls == 2
    for number in range(20):
        body = Draft().heading(kid=f"invented-{number}").compact(issuer_key)
        assert (await refusal(verifier, body)).err == "invalid_key"
    assert issuer.calls == 2


async def test_a_key_that_the_issuer_added_is_found_by_that_refresh(
    issuer_key, stranger_key
) -> None:
    issuer = Issuer(json.dumps(jwks_of(issuer_key.public_key())).encode())
    verifier = verifier_for(issuer_key, keys=issuer.jwks())
    await verifier.verify(Draft().compact(issuer_key))
    issuer.now_seconds += 100
    new = jwks_of(stranger_key.public_key(), kid="k2")
    issuer.answer = json.dumps(new).encode()
    assert (await verifier.verify(Draft().heading(kid="k2").compact(stranger_key))).jti == "jti-1"


async def test_keys_that_cannot_be_had_are_not_the_fault_of_the_set(issuer_key) -> None:
    """An RFC 8935 code would make the transmitter drop the event."""
    issuer = Issuer(KeysUnavailable("The JWK Set cannot be fetched: status 503."))
    verifier = verifier_for(issuer_key, keys=issuer.jwks())
    with pytest.raises(IssuerKeysUnavailable) as caught:
        await verifier.verify(Draft().compact(issuer_key))
    assert isinstance(caught.value, TryAgainLater)
    assert not isinstance(caught.value, SetRejected)
    assert isinstance(caught.value, ReceiverError)
    issuer.answer = json.dumps(jwks_of(issuer_key.public_key())).encode()
    issuer.now_seconds += 100
    assert (await verifier.verify(Draft().compact(issuer_key))).jti == "jti-1"


# ------------------------------------------------------------------ limits and configuration


async def test_the_longest_token_passes_and_one_byte_more_does_not(issuer_key) -> None:
    token = Draft().compact(issuer_key)
    exact = verifier_for(issuer_key, max_bytes=len(token))
    assert (await exact.verify(token)).jti == "jti-1"
    short = verifier_for(issuer_key, max_bytes=len(token) - 1)
    assert (await refusal(short, token)).description == "The token is too long."


async def test_the_leeway_can_be_set(issuer_key) -> None:
    verifier = verifier_for(issuer_key, leeway_seconds=0)
    await verifier.verify(Draft().claiming(iat=NOW).compact(issuer_key))
    assert (await refusal(verifier, Draft().claiming(iat=NOW + 1).compact(issuer_key))).err == (
        "invalid_request"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": ""},
        {"audience": ""},
        {"audience": []},
        {"audience": ["x", ""]},
        {"leeway_seconds": -1},
        {"algorithms": []},
    ],
    ids=str,
)
def test_a_verifier_that_would_expect_nothing_is_refused(
    options: dict[str, Any], issuer_key
) -> None:
    with pytest.raises(ValueError, match="must"):
        verifier_for(issuer_key, **options)
