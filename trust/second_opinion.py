"""OpenSSL's opinion of a path that we would accept: both must agree (facts pki A7).

OpenSSL is asked about exactly our path, so that it cannot find another one: the anchor is all it
trusts, the intermediates are all it may use, the time is the one we judge at. It is asked through
pyOpenSSL, which is made by the authors of ``cryptography`` and uses the same OpenSSL. The system's
trust store is never loaded.

Certificate policies are ours alone to judge: OpenSSL needs to be told the acceptable policies for
that, and pyOpenSSL cannot tell it any.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from OpenSSL import crypto

from trust.path import authority_key_id


def openssl_refusal(
    path: Sequence[x509.Certificate],
    *,
    now: datetime,
    strict: bool = True,
) -> str | None:
    """OpenSSL's words against a path, leaf first and anchor last, or ``None`` when it accepts.

    Args:
        path: the certificates, at least the leaf and its anchor.
        now: the moment to judge at.
        strict: asks for OpenSSL's X509_STRICT rules too. A leaf without authorityKeyIdentifier is
            legal enough for real partners, and X509_STRICT has no exception for it, so the strict
            rules are left out for such a leaf.
    """
    flags = crypto.X509StoreFlags.PARTIAL_CHAIN
    if strict and authority_key_id(path[0]) is not None:
        flags |= crypto.X509StoreFlags.X509_STRICT
    leaf, *above, anchor = (crypto.X509.from_cryptography(certificate) for certificate in path)
    store = crypto.X509Store()
    store.add_cert(anchor)
    store.set_flags(flags)
    store.set_time(now.astimezone(UTC))
    try:
        crypto.X509StoreContext(store, leaf, above).verify_certificate()
    except crypto.X509StoreContextError as error:
        return f"OpenSSL {error.errors[0]} at depth {error.errors[1]}: {error}"
    except crypto.Error as error:
        return f"OpenSSL cannot read the path: {error}"
    return None
