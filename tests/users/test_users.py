"""Local accounts: roles, passwords, one-time codes, lockout (facts: governance-ux 9, 10)."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OurFault
from node.ledger.private import LedgerKey
from node.users import one_time_codes
from node.users.model import FREE_FAILURES, Refused, User, check_login
from node.users.roles import role_table
from tests.users.conftest import PASSWORD, World

NEW = "another longer sentence"


def add(world: World, login: str = "m.itoya", roles: tuple[str, ...] = ("reviewer",)) -> User:
    return world.users.add(login, "M. Itoya", roles, PASSWORD)


def test_the_right_password_lets_in_and_a_wrong_one_does_not(world: World) -> None:
    add(world)
    found = world.users.prove_password("m.itoya", PASSWORD)
    assert isinstance(found, User)
    assert (found.login, found.must_change, found.has_code) == ("m.itoya", True, False)
    assert world.users.prove_password("m.itoya", PASSWORD + "x") is Refused.WRONG


def test_a_login_that_nobody_has_is_answered_as_a_wrong_password(world: World) -> None:
    assert world.users.prove_password("nobody", PASSWORD) is Refused.WRONG


def test_wrong_attempts_lock_for_longer_and_longer(world: World) -> None:
    add(world)
    for _ in range(FREE_FAILURES - 1):
        assert world.users.prove_password("m.itoya", "wrong") is Refused.WRONG
    assert world.users.prove_password("m.itoya", "wrong") is Refused.LOCKED
    assert world.users.prove_password("m.itoya", PASSWORD) is Refused.LOCKED
    world.clock.pass_by(seconds=61)
    assert world.users.prove_password("m.itoya", "wrong") is Refused.LOCKED
    world.clock.pass_by(seconds=61)
    assert world.users.prove_password("m.itoya", PASSWORD) is Refused.LOCKED  # two minutes now
    world.clock.pass_by(seconds=60)
    assert isinstance(world.users.prove_password("m.itoya", PASSWORD), User)
    assert world.users.prove_password("m.itoya", "wrong") is Refused.WRONG  # it begins anew


def test_an_account_that_was_locked_by_an_administrator_stays_out(world: World) -> None:
    add(world)
    world.users.set_active("m.itoya", active=False)
    assert world.users.prove_password("m.itoya", PASSWORD) is Refused.DISABLED
    world.users.set_active("m.itoya", active=True)
    assert isinstance(world.users.prove_password("m.itoya", PASSWORD), User)


def test_a_one_time_code_counts_once(world: World) -> None:
    add(world)
    secret = one_time_codes.new_secret()
    totp = pyotp.TOTP(secret)
    assert not world.users.set_code("m.itoya", secret, "000000")
    first = totp.at(world.clock.at)
    assert world.users.set_code("m.itoya", secret, first)
    assert not world.users.set_code("m.itoya", one_time_codes.new_secret(), first)  # is set
    assert world.users.prove_code("m.itoya", first) is Refused.WRONG
    world.clock.pass_by(seconds=30)
    second = totp.at(world.clock.at)
    assert isinstance(world.users.prove_code("m.itoya", second), User)
    assert world.users.prove_code("m.itoya", second) is Refused.WRONG
    world.clock.pass_by(seconds=90)
    late = totp.at(world.clock.at - timedelta(seconds=30))
    assert isinstance(world.users.prove_code("m.itoya", f"{late[:3]} {late[3:]}"), User)
    assert (
        world.users.prove_code("m.itoya", totp.at(world.clock.at - timedelta(seconds=60)))
        is Refused.WRONG
    )


def test_wrong_codes_lock_as_wrong_passwords_do(world: World) -> None:
    add(world)
    secret = one_time_codes.new_secret()
    world.users.set_code("m.itoya", secret, pyotp.TOTP(secret).at(world.clock.at))
    for _ in range(FREE_FAILURES - 1):
        assert world.users.prove_code("m.itoya", "12345") is Refused.WRONG
    assert world.users.prove_code("m.itoya", "12345") is Refused.LOCKED


def test_the_secret_of_codes_is_sealed_for_its_user_under_the_ledger_key() -> None:
    key = LedgerKey(bytes(32))
    sealed = one_time_codes.seal(key, "a.b", "JBSWY3DPEHPK3PXP", bytes(12))
    assert b"JBSWY3DP" not in sealed
    assert one_time_codes.unseal(key, "a.b", sealed) == "JBSWY3DPEHPK3PXP"
    for other, login in ((LedgerKey(b"1" * 32), "a.b"), (key, "a.c")):
        with pytest.raises(OurFault, match="does not open"):
            one_time_codes.unseal(other, login, sealed)


def test_reset_forgets_code_lock_and_sessions(world: World) -> None:
    add(world)
    secret = one_time_codes.new_secret()
    world.users.set_code("m.itoya", secret, pyotp.TOTP(secret).at(world.clock.at))
    for _ in range(FREE_FAILURES):
        world.users.prove_password("m.itoya", "wrong")
    found = world.users.reset("m.itoya", NEW)
    assert (found.has_code, found.must_change) == (False, True)
    assert isinstance(world.users.prove_password("m.itoya", NEW), User)


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "12 to 1024"),
        ("x" * 1025, "12 to 1024"),
        ("m.itoya is my name", "login name"),
        ("aaaaaaaaaaaaaaaa", "different"),
    ],
)
def test_weak_passwords_are_refused_and_never_repeated(world: World, password, said) -> None:
    with pytest.raises(OurFault) as refused:
        world.users.add("m.itoya", "M. Itoya", ("reviewer",), password)
    assert refused.value.code == "password-weak"
    assert said in refused.value.sentence
    assert password not in refused.value.sentence


def test_the_password_in_use_is_not_a_new_one(world: World) -> None:
    add(world)
    with pytest.raises(OurFault, match="in use"):
        world.users.change_password("m.itoya", PASSWORD)
    world.users.change_password("m.itoya", NEW)
    assert world.users.prove_password("m.itoya", PASSWORD) is Refused.WRONG
    found = world.users.prove_password("m.itoya", NEW)
    assert isinstance(found, User)
    assert not found.must_change


def test_roles_give_rights_and_others_give_none(world: World) -> None:
    auditor = add(world, "a.udit", ("auditor",))
    assert "exchanges" in auditor.rights
    assert not {"reveal", "review", "operations", "users"} & auditor.rights
    both = world.users.change_roles("a.udit", ("reviewer", "auditor", "auditor"))
    assert both.roles == ("reviewer", "auditor")
    for roles in ((), ("janitor",)):
        with pytest.raises(OurFault, match="role"):
            world.users.change_roles("a.udit", roles)
    with pytest.raises(OurFault, match="There is no user"):
        world.users.change_roles("nobody", ("lead",))


def test_every_right_of_a_role_is_in_the_table_and_every_right_has_a_role() -> None:
    table = role_table()
    used = frozenset().union(*(role.rights for role in table.roles.values()))
    assert used == set(table.rights)


def test_a_login_is_taken_once(world: World) -> None:
    add(world)
    with pytest.raises(OurFault, match="already"):
        add(world)


@given(st.text(max_size=70))
def test_logins_have_a_form_that_is_safe_everywhere(text: str) -> None:
    with suppress(OurFault):
        check_login(text)
        assert text.isascii()
        assert not set(text) & set("<>&\"' /\\\n")
