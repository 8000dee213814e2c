from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.host_names import ascii_host_name, certificate_host_name, ip_address


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Gateway.Example", "gateway.example"),
        ("gateway.example.", "gateway.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("*.example", None),
        ("10.0.0.1", None),
        ("::1", None),
        ("a..example", None),
        ("", None),
        (".", None),
        ("-a.example", None),
        ("a_b.example", None),
        ("a.example\x00.evil.example", None),
        ("a.example\n", None),
        ("x" * 64 + ".example", None),
        (".".join(["x" * 60] * 5), None),
    ],
)
def test_host_names_of_directories(name, expected):
    assert ascii_host_name(name) == expected


@pytest.mark.parametrize("name", ["gateway.example.", "bücher.example", "*.example", "10.0.0.1"])
def test_certificates_get_no_help(name):
    assert certificate_host_name(name) is None


def test_addresses_are_canonical():
    assert ip_address("[2001:DB8::0:1]") == "2001:db8::1"
    assert ip_address("127.0.0.1") == "127.0.0.1"
    assert ip_address("127.1") is None


@given(st.text(max_size=80))
def test_any_text_gives_a_comparable_name_or_none(text):
    name = ascii_host_name(text)
    assert name is None or certificate_host_name(name) == name
