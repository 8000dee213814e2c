"""Taking a CRL in: from a file or a distribution point into the folder of the last good ones.

Who signed it is looked for among the CAs that we know: the anchors, the CAs of chains that were
accepted, and certificates that an operator hands over. Nothing is believed that does not end at an
authorised anchor, and nothing replaces a newer CRL (``trust.crl_store``).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path as FilePath

from cryptography import x509

from trust.certificate_rules import check_issuer
from trust.crl import MAX_CRL_BYTES, Crl, parse_crl
from trust.crl_signer import find_signer
from trust.crl_store import CrlShelf, keep_crl
from trust.errors import TrustError
from trust.path import Path, candidate_paths, path_refusal

_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCrl:
    """A CRL that may be believed.

    Attributes:
        crl: the CRL.
        signer: the path of the certificate that signed it, that one first, the anchor last.
        is_new: whether it was written; ``False`` when it is the stored one already.
    """

    crl: Crl
    signer: Path
    is_new: bool


def read_crl(data: bytes) -> Crl:
    """Reads a CRL in DER form, or the first one of a PEM text.

    Raises:
        TrustError: as ``parse_crl``.
    """
    if len(data) > 2 * MAX_CRL_BYTES:
        raise TrustError("crl-too-large", "A CRL is larger than 20 MiB.")
    _, begin, rest = data.partition(_BEGIN)
    body, end, _ = rest.partition(_END)
    if not begin or not end:
        return parse_crl(data)
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise TrustError("crl-malformed", "Bytes are not a CRL that can be read.") from error
    return parse_crl(der)


def known_authorities(
    anchors: Iterable[x509.Certificate],
    shelf: CrlShelf,
    others: Sequence[x509.Certificate] = (),
    *,
    now: datetime,
) -> tuple[Path, ...]:
    """Paths of CAs that may have signed a CRL, each with the CA first and its anchor last.

    Args:
        anchors: the authorised anchors.
        shelf: the CRLs at hand, whose signers are known.
        others: further CA certificates; only those with a valid path to an anchor count.
        now: the moment to judge at.
    """
    roots = tuple(anchors)
    found: dict[Path, None] = {(root,): None for root in roots}
    for accepted in shelf:
        for index in range(len(accepted.signer)):
            if accepted.signer[-1] in roots:
                found[accepted.signer[index:]] = None
    for certificate in others:
        if certificate in roots or check_issuer(certificate, now=now) is not None:
            continue
        above = [c for c in others if c != certificate]
        for path in candidate_paths(certificate, above, roots):
            if path_refusal(path, now=now) is None:
                found[path] = None
                break
    return tuple(found)


def take_crl(
    folder: FilePath,
    crl: Crl,
    authorities: Iterable[Path],
    others: Sequence[x509.Certificate] = (),
    *,
    now: datetime,
) -> TakenCrl:
    """Keeps a CRL that one of the authorities stands behind.

    Args:
        folder: where the last good CRLs are.
        crl: the new CRL.
        authorities: paths of CAs, each with the CA first and its anchor last.
        others: certificates that may hold a key that a CA has for CRLs alone.
        now: the moment to judge at.

    Raises:
        TrustError: what speaks against it by the likeliest signer; ``crl-rollback`` and the other
            codes of ``keep_crl``. The stored CRL stays then.
    """
    refusal: TrustError | None = None
    for path in authorities:
        try:
            signer = find_signer(crl, (path[0], *path), others, now=now)
        except TrustError as error:
            if refusal is None or refusal.code == "crl-issuer-mismatch":
                refusal = error
            continue
        is_new = keep_crl(folder, crl, signer, now=now)
        return TakenCrl(crl=crl, signer=signer, is_new=is_new)
    raise refusal or TrustError(
        "crl-issuer-mismatch", "A CRL was issued by another CA or another key."
    )
