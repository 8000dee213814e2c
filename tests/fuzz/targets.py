"""All targets, by name."""

from __future__ import annotations

from tests.fuzz.documents import XML
from tests.fuzz.import_files import CERTIFICATE, CRL, INSPECT, KEY, OCSP, REQUEST
from tests.fuzz.multipart import MTOM
from tests.fuzz.signatures import SECURITY, SIGNATURE
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    each.name: each
    for each in (SECURITY, SIGNATURE, XML, MTOM, CERTIFICATE, REQUEST, CRL, OCSP, INSPECT, KEY)
}
