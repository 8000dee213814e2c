"""What ``cryptography`` raises for DER that it cannot decode.

Its parsers raise more than ``ValueError``, and decode many parts only when they are asked for: a
certificate, request or CRL that was loaded can still fail later. Whoever reads a part of foreign
DER catches all of these.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm

UNDECODABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InternalError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
