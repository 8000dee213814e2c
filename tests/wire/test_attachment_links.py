"""Links in another server's DocumentReference become ours, and every other byte stays."""

from __future__ import annotations

import pytest

from node.wire.fhir.attachment_links import is_there, with_own_links

HERE = "https://peer.example/fhir/DocumentReference/d"


def test_only_addresses_of_attachments_change_and_numbers_keep_their_places() -> None:
    before = (
        b'{"resourceType":"DocumentReference","extension":[{"url":"https://x.example/def",'
        b'"valueDecimal":1.50}],"description":"say \\"url\\": \\"Binary/1\\"","content":['
        b'{"attachment":{"contentType":"text/xml", "url" : "Binary\\/1"}},'
        b'{"attachment":{"contentType":"application/pdf","url":"Binary/1"}},'
        b'{"attachment":{"url":"https://other.example/1"}},'
        b'{"attachment":{"url":"Binary/2","data":"eA=="}}]}'
    )
    seen: list[tuple[int, str | None]] = []

    def link(place: int, attachment: object) -> str:
        seen.append((place, attachment.media_type))  # type: ignore[attr-defined]
        return f"https://us.example/{place}"

    after = with_own_links(before, HERE, link)
    assert seen == [(0, "text/xml"), (1, "application/pdf")]
    assert after == before.replace(b'"Binary\\/1"', b'"https://us.example/0"').replace(
        b'"url":"Binary/1"', b'"url":"https://us.example/1"'
    )


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("Binary/1", True),
        ("https://peer.example/fhir/Binary/1", True),
        ("https://peer.example/fhir", False),
        ("https://peer.example.evil.example/fhir/Binary/1", False),
        ("https://peer.example/fhirx/1", False),
        ("//peer.example/fhir/Binary/1", False),
        ("\\\\evil.example\\x", False),
        ("file:///etc/passwd", False),
        ("x" * 2049, False),
    ],
)
def test_what_is_below_the_servers_own_base_is_there(url: str, there: bool) -> None:
    assert is_there(HERE, url) is there


def test_a_resource_without_an_address_has_relative_links_alone() -> None:
    assert is_there("urn:uuid:1", "Binary/1")
    assert not is_there("urn:uuid:1", "https://peer.example/fhir/Binary/1")
