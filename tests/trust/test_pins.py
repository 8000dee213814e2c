from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.errors import TrustError
from trust.pins import parse_pin

DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    "text",
    [
        DIGEST.hex(),
        DIGEST.hex().upper(),
        f"  {DIGEST.hex(':')}\n",
        "sha256/" + base64.b64encode(DIGEST).decode(),
        "sha256//" + base64.b64encode(DIGEST).decode(),
    ],
)
def test_every_usual_spelling(text):
    assert parse_pin(text) == DIGEST.hex()


@pytest.mark.parametrize(
    "text",
    [
        "",
        DIGEST.hex()[:-2],
        DIGEST.hex() + "00",
        "sha1/" + base64.b64encode(DIGEST).decode(),
        "sha256/" + base64.b64encode(DIGEST[:-1]).decode(),
        "sha256/not base64",
        # the last character's stray bits set
        "sha256/" + base64.b64encode(DIGEST).decode()[:-2] + "9=",
        "sha256///" + base64.b64encode(DIGEST).decode(),
        "x" * 100_000,
    ],
)
def test_what_is_no_pin(text):
    with pytest.raises(TrustError) as caught:
        parse_pin(text)
    assert caught.value.code == "pin-invalid"


@given(st.binary(min_size=32, max_size=32))
def test_both_forms_round_trip(digest):
    assert parse_pin(digest.hex()) == digest.hex()
    assert parse_pin("sha256/" + base64.b64encode(digest).decode()) == digest.hex()


@given(st.text(max_size=100))
def test_any_other_text_is_refused(text):
    with pytest.raises(TrustError) as caught:
        parse_pin(text)
    assert caught.value.code == "pin-invalid"
