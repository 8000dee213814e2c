"""Where CRLs come from: the distribution points of chains that we accepted, and when to ask again.

A source is remembered with the CA that its CRL is expected from, so that a command, or the node
after a restart, can fetch it without having seen the chain again. The memory is one file beside the
CRLs, ``sources.json``; it is a convenience: without it the sources are seen anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path as FilePath

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trust.certificates import parse_der
from trust.crl import Crl
from trust.errors import TrustError
from trust.files import write_file
from trust.path import Path, signed_by

MAX_SOURCES = 200
MAX_URL = 2000
FILE_NAME = "sources.json"
MIN_WAIT = timedelta(minutes=1)

_MAX_FILE_BYTES = 8 * 1024 * 1024
_LATE_PART = 0.2  # the CRL is asked for anew when so much of its life is left
_MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlSource:
    """One address of CRLs.

    Attributes:
        url: http or https.
        authority: the CA whose CRL it should be, that one first, its anchor last; empty for an
            address from the settings, where any known CA will do.
        etag, modified: what the server said of the last CRL, for asking conditionally.
        checked: when it was asked last.
        due: when to ask next; ``None`` at once.
        failures: how often in a row it failed.
        outcome: the code of the last failure, or ``None``.
    """

    url: str
    authority: Path = ()
    etag: str | None = None
    modified: str | None = None
    checked: datetime | None = None
    due: datetime | None = None
    failures: int = 0
    outcome: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be asked now; a clock that was set back makes it due."""
        return self.due is None or now >= self.due or (self.checked or now) > now

    def succeeded(
        self,
        now: datetime,
        crl: Crl | None,
        *,
        interval: timedelta,
        spread: float,
        etag: str | None,
        modified: str | None,
    ) -> CrlSource:
        """After a CRL was given, or the server said that there is no newer one.

        Args:
            now: the moment.
            crl: the CRL in use, if it is known.
            interval: how long to wait at most.
            spread: 0 to 1, random: moves the moment earlier, so that not all come at once.
            etag: what the server said.
            modified: the same.
        """
        wait = interval
        if crl is not None:
            life = crl.next_update - crl.this_update
            wait = min(wait, crl.next_update - _LATE_PART * life - now)
        wait = max(wait * (1 - 0.2 * spread), MIN_WAIT)
        return replace(
            self,
            etag=etag,
            modified=modified,
            checked=now,
            due=now + wait,
            failures=0,
            outcome=None,
        )

    def failed(self, now: datetime, code: str, *, interval: timedelta, spread: float) -> CrlSource:
        """After a failure: the waits double up to the interval.

        What the server said is forgotten: a CRL that was refused is looked at in full again.
        """
        wait = min(MIN_WAIT * 2 ** min(self.failures, _MAX_DOUBLINGS), interval)
        return replace(
            self,
            etag=None,
            modified=None,
            checked=now,
            due=now + wait * (1 + 0.2 * spread),
            failures=self.failures + 1,
            outcome=code,
        )


def distribution_points(certificate: x509.Certificate) -> tuple[str, ...]:
    """The http(s) addresses of a certificate's CRLs and delta CRLs."""
    try:
        values = [extension.value for extension in certificate.extensions]
    except (ValueError, x509.DuplicateExtension):
        return ()
    points = [
        point
        for value in values
        if isinstance(value, x509.CRLDistributionPoints | x509.FreshestCRL)
        for point in value
    ]
    return tuple(dict.fromkeys(_urls(points)))


def freshest_points(crl: Crl) -> tuple[str, ...]:
    """The http(s) addresses of the delta CRLs that a base CRL names."""
    try:
        points = crl.source.extensions.get_extension_for_class(x509.FreshestCRL).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(dict.fromkeys(_urls(points)))


def sources_of(path: Path) -> dict[str, CrlSource]:
    """The sources that the certificates of an accepted path name."""
    found: dict[str, CrlSource] = {}
    for index, certificate in enumerate(path[:-1]):
        for url in distribution_points(certificate):
            found.setdefault(url, CrlSource(url=url, authority=path[index + 1 :]))
    return found


def load_sources(folder: FilePath, anchors: Collection[x509.Certificate]) -> dict[str, CrlSource]:
    """The remembered sources whose anchors are still ours; none when the file is unusable."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            rows = json.loads(file.read(_MAX_FILE_BYTES))
        found = {row["url"]: _source(row) for row in rows[:MAX_SOURCES]}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, TrustError):
        return {}
    return {
        url: source
        for url, source in found.items()
        if not source.authority or source.authority[-1] in anchors
    }


def save_sources(folder: FilePath, sources: Iterable[CrlSource]) -> None:
    """Remembers the sources. Raises ``TrustError`` ``file-not-written``."""
    rows = [_row(source) for source in sources][:MAX_SOURCES]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrustError(
            "file-not-written", "The CRL folder cannot be made.", where=str(folder)
        ) from error
    write_file(folder / FILE_NAME, json.dumps(rows, indent=1).encode("ascii"), replace=True)


def _urls(points: Iterable[x509.DistributionPoint]) -> Iterable[str]:
    for point in points:
        if point.crl_issuer or point.full_name is None:
            continue  # an indirect CRL's, or one of a directory service
        for name in point.full_name:
            if isinstance(name, x509.UniformResourceIdentifier) and _is_http(name.value):
                yield name.value


def _is_http(url: str) -> bool:
    return len(url) <= MAX_URL and url.lower().startswith(("http://", "https://"))


def _row(source: CrlSource) -> dict[str, object]:
    return {
        "url": source.url,
        "authority": [
            base64.b64encode(c.public_bytes(Encoding.DER)).decode("ascii") for c in source.authority
        ],
        "etag": source.etag,
        "modified": source.modified,
        "checked": source.checked.isoformat() if source.checked else None,
        "due": source.due.isoformat() if source.due else None,
        "failures": source.failures,
        "outcome": source.outcome,
    }


def _source(row: Mapping[str, object]) -> CrlSource:
    authority = row["authority"]
    if not isinstance(authority, list):
        raise TypeError("not a list")
    path = tuple(parse_der(base64.b64decode(str(each))) for each in authority)
    if not all(map(signed_by, path, path[1:])):
        raise ValueError("not a path")
    failures = row.get("failures")
    return CrlSource(
        url=str(row["url"]),
        authority=path,
        etag=_text(row.get("etag")),
        modified=_text(row.get("modified")),
        checked=_moment(row.get("checked")),
        due=_moment(row.get("due")),
        failures=failures if isinstance(failures, int) else 0,
        outcome=_text(row.get("outcome")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("not a moment")
    return moment
