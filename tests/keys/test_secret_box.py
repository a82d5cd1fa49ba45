import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.errors import WrongSecretKey
from keys.secret_box import SecretBox, generate_secret

OLD, NEW = "o" * 32, "n" * 43
BOX = SecretBox(NEW)


@settings(deadline=None)
@given(st.binary(max_size=200), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_what_was_sealed_opens_in_its_own_context(secret: bytes, context: str) -> None:
    assert BOX.decrypt(BOX.encrypt(secret, context=context), context=context) == secret


def test_a_ciphertext_moved_to_another_row_does_not_open() -> None:
    sealed = BOX.encrypt(b"Bearer x", context="streams:1")
    with pytest.raises(WrongSecretKey):
        BOX.decrypt(sealed, context="streams:2")


def test_the_sealed_text_shows_nothing_and_differs_each_time() -> None:
    one, two = (BOX.encrypt(b"Bearer x", context="c") for _ in range(2))
    assert one != two
    assert one.startswith(f"v1.{BOX.key_id}.")
    body = one.rpartition(".")[2]
    assert b"Bearer" not in base64.urlsafe_b64decode(body + "==")


def test_every_single_changed_character_is_noticed() -> None:
    sealed = BOX.encrypt(b"Bearer x", context="c")
    for place, old in enumerate(sealed):
        changed = sealed[:place] + ("B" if old == "A" else "A") + sealed[place + 1 :]
        with pytest.raises(WrongSecretKey):
            BOX.decrypt(changed, context="c")


@pytest.mark.parametrize(
    "sealed", ["", "v1", "v1.x.y", "v2.a.b", "ä", "v1.{id}.", "v1.{id}.ä", "v1.{id}.AAAA"]
)
def test_what_is_no_sealed_text_is_refused_alike(sealed: str) -> None:
    with pytest.raises(WrongSecretKey):
        BOX.decrypt(sealed.replace("{id}", BOX.key_id), context="c")


def test_a_former_secret_opens_and_asks_to_be_sealed_again() -> None:
    sealed = SecretBox(OLD).encrypt(b"x", context="c")
    box = SecretBox(NEW, previous=[OLD])
    assert box.decrypt(sealed, context="c") == b"x"
    assert box.needs_reencryption(sealed)
    again = box.encrypt(b"x", context="c")
    assert not box.needs_reencryption(again)
    with pytest.raises(WrongSecretKey):
        SecretBox(OLD).decrypt(again, context="c")


def test_the_secret_may_be_named_among_the_former_ones_too() -> None:
    box = SecretBox(NEW, previous=[NEW, OLD])
    assert not box.needs_reencryption(box.encrypt(b"x", context="c"))


def test_a_short_secret_is_refused_with_advice_and_without_repeating_it() -> None:
    for make in (
        lambda: SecretBox("hunter2"),
        lambda: SecretBox(NEW, previous=["hunter2"]),
    ):
        with pytest.raises(ValueError, match="token_urlsafe") as caught:
            make()
        assert "hunter2" not in str(caught.value)
    SecretBox("x" * 16)
    with pytest.raises(ValueError, match="16"):
        SecretBox("x" * 15)


def test_a_single_string_is_not_a_list_of_former_secrets() -> None:
    with pytest.raises(TypeError):
        SecretBox(NEW, previous=OLD)


def test_an_empty_context_is_refused() -> None:
    with pytest.raises(ValueError, match="context"):
        BOX.encrypt(b"x", context="")


def test_neither_repr_nor_key_id_shows_the_secret() -> None:
    secret = generate_secret()
    box = SecretBox(secret, previous=[OLD])
    assert secret not in f"{box!r} {box} {box.key_id}"
    assert not hasattr(box, "__dict__")
    assert box.key_id == SecretBox(secret).key_id != BOX.key_id


def test_a_generated_secret_is_long_enough_and_never_the_same() -> None:
    assert generate_secret() != generate_secret()
    SecretBox(generate_secret())
