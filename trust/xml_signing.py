"""Signing XML in the one profile that :mod:`trust.xmldsig` verifies (facts: ihe-wire 8.1).

Exclusive canonical XML, SHA-256, RSA or ECDSA as the signer's key decides, one reference by id.
SHA-1 is never written: a peer that needs it is not served (QTF-501).
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

from lxml import etree

from trust.errors import TrustError
from trust.key_info import key_info_xml, signature_table
from trust.signer import Signer
from trust.xml import canonical, parse
from trust.xml_names import DS, ENVELOPED, EXC_C14N

NCNAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,255}")
"""The ids we write and accept: an ASCII NCName of at most 256 characters."""


def sign_enveloped(
    element: etree._Element, *, signer: Signer, id_attribute: str = "ID", position: int = 1
) -> etree._Element:
    """Sign an element and put the signature inside it; returns the signature.

    Args:
        element: what to sign; it must have an id that is an NCName.
        signer: whose key signs; its certificate and key value go into the KeyInfo.
        id_attribute: the id attribute in Clark notation.
        position: the place among the element's children (SAML wants it right after the Issuer).

    Raises:
        TrustError: ``signature-malformed`` when the element has no proper id, or its surroundings
            know the namespace of signatures by another prefix: lxml would take that one for what
            is signed already.
    """
    if any(space == DS and prefix != "ds" for prefix, space in element.nsmap.items()):
        raise TrustError(
            "signature-malformed", "What is to be signed has another prefix for signatures."
        )
    signature = _signature(
        element, id_attribute, signer, (ENVELOPED, EXC_C14N), key_info_xml(signer.certificate)
    )
    element.insert(position, signature)
    return signature


def sign_detached(
    element: etree._Element, *, signer: Signer, id_attribute: str, key_info: str | None = None
) -> etree._Element:
    """Sign an element; the signature that comes back belongs somewhere else in the document.

    Where it is put, its namespace may have no other prefix than ``ds``.

    Args:
        element: what to sign.
        signer: whose key signs.
        id_attribute: the id attribute in Clark notation.
        key_info: the ``ds:KeyInfo`` as XML text; by default the signer's certificate.

    Raises:
        TrustError: ``signature-malformed`` when the element has no proper id.
    """
    info = key_info_xml(signer.certificate) if key_info is None else key_info
    return _signature(element, id_attribute, signer, (EXC_C14N,), info)


def _signature(
    element: etree._Element,
    id_attribute: str,
    signer: Signer,
    transforms: tuple[str, ...],
    key_info: str,
) -> etree._Element:
    own = element.get(id_attribute, "")
    if not NCNAME.fullmatch(own):
        raise TrustError("signature-malformed", "What is to be signed has no proper id.")
    digest = base64.b64encode(hashlib.sha256(canonical(element)).digest()).decode("ascii")
    method = _signing_uri(str(signer.algorithm))
    steps = "".join(f'<ds:Transform Algorithm="{each}"></ds:Transform>' for each in transforms)
    # Written in its canonical form, so that the text is the octets to sign.
    signed_info = (
        f'<ds:SignedInfo xmlns:ds="{DS}">'
        f'<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{method}"></ds:SignatureMethod>'
        f'<ds:Reference URI="#{own}"><ds:Transforms>{steps}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{_digest_uri()}"></ds:DigestMethod>'
        f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )
    value = base64.b64encode(signer.sign(signed_info.encode("utf-8"))).decode("ascii")
    return parse(
        f'<ds:Signature xmlns:ds="{DS}">{signed_info}'
        f"<ds:SignatureValue>{value}</ds:SignatureValue>{key_info}</ds:Signature>".encode()
    )


@lru_cache
def _signing_uri(algorithm: str) -> str:
    rows = signature_table()["signature"].items()
    return next(str(uri) for uri, row in rows if row.get("signs") == algorithm)


@lru_cache(maxsize=1)
def _digest_uri() -> str:
    rows = signature_table()["digest"].items()
    return next(str(uri) for uri, row in rows if row.get("signs"))
