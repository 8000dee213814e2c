from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OurFault
from node.ledger.commitment import commit, hmac_sha256, opens

SALT = bytes(range(32))


def test_it_is_hmac_sha256_of_tag_nul_value_under_the_salt() -> None:
    expected = hmac.new(SALT, b"who\x00value", hashlib.sha256).digest()
    assert commit(SALT, "who", b"value") == expected


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=300))
def test_rfc_2104_our_hmac_is_the_library_s(key: bytes, message: bytes) -> None:
    assert hmac_sha256(key, message) == hmac.digest(key, message, "sha256")


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64), st.binary(max_size=64))
def test_it_opens_with_its_own_salt_tag_and_value_only(
    salt: bytes, value: bytes, other: bytes
) -> None:
    made = commit(salt, "who", value)
    assert opens(made, salt, "who", value)
    assert not opens(made, salt, "docs", value)
    assert opens(made, salt, "who", other) == (other == value)
    assert not opens(made, bytes([salt[0] ^ 1]) + salt[1:], "who", value)


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_a_salt_of_another_length_does_not_bind_and_is_refused(salt: bytes) -> None:
    with pytest.raises(OurFault):
        commit(salt, "who", b"value")


def test_a_tag_with_nul_is_refused() -> None:
    with pytest.raises(OurFault):
        commit(SALT, "who\x00x", b"value")
