"""The anchors of the networks we belong to: a folder that a person can read.

Each anchor is two files named by the SHA-256 fingerprint of its certificate::

    trust/anchors/3f9a….pem     the CA certificate
    trust/anchors/3f9a….toml    label, network, uses, added, and how revocation below it is checked

Nothing outside this folder is ever trusted, the system's store least of all (facts pki A8).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trust.certificates import fingerprint, load_certificates
from trust.chain import Strength, check_anchor
from trust.errors import TrustError
from trust.files import write_file
from trust.revocation_policy import ANCHOR_DEFAULT, RevocationRule, read_rule, rule_lines
from trust.usages import PARTNER_USES, Usage

MAX_ANCHORS = 200
MAX_TEXT = 100
MAX_NOTE_BYTES = 4096
MIN_PREFIX = 8

ALL_USES = PARTNER_USES
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A CA certificate that a person decided to trust, and for what.

    Attributes:
        certificate: the CA's certificate; a root, or an intermediate trusted by itself.
        label: what people call it.
        network: the network it speaks for, such as ``tefca`` or the name of a private one.
        uses: the roles in which its certificates are accepted.
        added: when it was added here; ``None`` for one that only the signed list has.
        revocation: how the certificates below it are checked.
        strength: what the network demands of the keys of its chains.
        local: whether a person added it at this node.
        listed: whether the signed network list has it. One that is only listed vouches for the
            members of the list and for nobody else.
    """

    certificate: x509.Certificate
    label: str
    network: str
    uses: tuple[Usage, ...] = ALL_USES
    added: datetime | None
    revocation: RevocationRule = ANCHOR_DEFAULT
    strength: Strength = Strength.WARN
    local: bool = True
    listed: bool = False

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hex: the anchor's name."""
        return fingerprint(self.certificate)


AnchorSet = dict[Usage, tuple[x509.Certificate, ...]]
"""The certificates of the anchors that are authorised, per use."""


def authorised(anchors: Iterable[Anchor], *, network: str | None = None) -> AnchorSet:
    """The certificates per use, of one network or of all."""
    chosen = [a for a in anchors if network is None or a.network == network]
    return {usage: tuple(a.certificate for a in chosen if usage in a.uses) for usage in ALL_USES}


def new_anchor(
    certificate: x509.Certificate,
    *,
    label: str,
    network: str,
    now: datetime,
    uses: tuple[Usage, ...] = ALL_USES,
    revocation: RevocationRule = ANCHOR_DEFAULT,
) -> Anchor:
    """An anchor to be added, not written anywhere yet.

    Raises:
        TrustError: ``anchor-refused`` when the certificate is no valid CA certificate now,
            ``anchor-note-invalid``.
    """
    finding = check_anchor(certificate, now=now)
    if finding is not None:
        raise TrustError("anchor-refused", finding.sentence, detail=finding.code)
    if not uses:
        raise TrustError("anchor-note-invalid", "An anchor must be authorised for some use.")
    return Anchor(
        certificate=certificate,
        label=_checked_text(label, "label"),
        network=_checked_text(network, "network"),
        uses=tuple(dict.fromkeys(uses)),
        added=now.astimezone(UTC).replace(microsecond=0),
        revocation=revocation,
    )


def add_anchor(
    folder: Path,
    certificate: x509.Certificate,
    *,
    label: str,
    network: str,
    now: datetime,
    uses: tuple[Usage, ...] = ALL_USES,
    revocation: RevocationRule = ANCHOR_DEFAULT,
) -> Anchor:
    """Adds an anchor; the folder is made when it is missing.

    Raises:
        TrustError: ``anchor-exists``, ``anchors-too-many``, ``file-not-written``, and as
            ``new_anchor``.
    """
    anchor = new_anchor(
        certificate, label=label, network=network, now=now, uses=uses, revocation=revocation
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrustError(
            "file-not-written", "The anchor folder cannot be made.", where=str(folder)
        ) from error
    if len(_names(folder)) >= MAX_ANCHORS:
        raise TrustError("anchors-too-many", f"There are {MAX_ANCHORS} anchors already.")
    path = folder / f"{anchor.fingerprint}.pem"
    if path.exists():
        raise TrustError("anchor-exists", "This anchor is in the folder already.", where=str(path))
    # The certificate comes last: it is what makes the anchor count.
    write_file(path.with_suffix(".toml"), _note(anchor), replace=True)
    write_file(path, certificate.public_bytes(Encoding.PEM))
    return anchor


def remove_anchor(folder: Path, name: str) -> Anchor:
    """Removes the anchor whose fingerprint is or uniquely starts with ``name`` (8 digits or more).

    Raises:
        TrustError: ``anchor-missing``, ``file-not-written`` and those of ``load_anchors``.
    """
    anchor = find_anchor(folder, name)
    path = folder / f"{anchor.fingerprint}.pem"
    try:
        path.unlink()
        path.with_suffix(".toml").unlink(missing_ok=True)
    except OSError as error:
        raise TrustError(
            "file-not-written", "An anchor's files cannot be removed.", where=str(path)
        ) from error
    return anchor


def find_anchor(folder: Path, name: str) -> Anchor:
    """The anchor whose fingerprint is or uniquely starts with ``name`` (8 digits or more).

    Raises:
        TrustError: ``anchor-missing`` and those of ``load_anchors``.
    """
    wanted = name.lower().replace(":", "")
    found = [a for a in load_anchors(folder) if a.fingerprint.startswith(wanted)]
    if len(wanted) < MIN_PREFIX or len(found) != 1:
        raise TrustError(
            "anchor-missing",
            f"{len(found)} anchors have a fingerprint that starts so; {MIN_PREFIX} digits at least "
            "must name exactly one.",
        )
    return found[0]


def set_revocation(folder: Path, name: str, rule: RevocationRule) -> Anchor:
    """Gives an anchor, named as in ``find_anchor``, another rule for revocation.

    Raises:
        TrustError: ``anchor-missing``, ``file-not-written`` and those of ``load_anchors``.
    """
    anchor = replace(find_anchor(folder, name), revocation=rule)
    write_file(folder / f"{anchor.fingerprint}.toml", _note(anchor), replace=True)
    return anchor


def load_anchors(folder: Path) -> tuple[Anchor, ...]:
    """Reads and validates all anchors, ordered by network and label.

    An expired anchor is returned like any other: chains through it fail with their own reason. A
    missing folder holds no anchors.

    Raises:
        TrustError: ``anchor-invalid`` when a file is not what its name says, ``anchors-too-many``.
    """
    names = _names(folder)
    if len(names) > MAX_ANCHORS:
        raise TrustError("anchors-too-many", f"The folder has over {MAX_ANCHORS} anchors.")
    anchors = (_load(path) for path in names)
    return tuple(sorted(anchors, key=lambda a: (a.network, a.label, a.fingerprint)))


def _load(path: Path) -> Anchor:
    note_path = path.with_suffix(".toml")
    try:
        certificates = load_certificates(path)
        with note_path.open("rb") as file:
            note = tomllib.loads(file.read(MAX_NOTE_BYTES).decode("utf-8"))
        anchor = Anchor(
            certificate=certificates[0],
            label=_checked_text(note["label"], "label"),
            network=_checked_text(note["network"], "network"),
            uses=tuple(Usage(use) for use in note["uses"]),
            added=note["added"].astimezone(UTC),
            revocation=read_rule(note.get("revocation")),
        )
    except (TrustError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrustError(
            "anchor-invalid",
            "An anchor's certificate or note cannot be read.",
            detail=str(error),
            where=str(path),
        ) from error
    if len(certificates) != 1 or anchor.fingerprint != path.stem:
        raise TrustError(
            "anchor-invalid",
            "An anchor file does not hold exactly the certificate that its name says.",
            where=str(path),
        )
    # At the start of its own life, so that only its nature is judged here, not the calendar.
    finding = check_anchor(anchor.certificate, now=anchor.certificate.not_valid_before_utc)
    if finding is not None:
        raise TrustError("anchor-invalid", finding.sentence, where=str(path))
    return anchor


def _names(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.pem") if not p.name.startswith("."))


def _note(anchor: Anchor) -> bytes:
    # JSON strings of printable text are TOML strings too.
    lines = [
        f"label = {json.dumps(anchor.label)}",
        f"network = {json.dumps(anchor.network)}",
        f"uses = {json.dumps([str(use) for use in anchor.uses])}",
        f"added = {(anchor.added or _UNKNOWN).isoformat()}",
        "",
        *rule_lines(anchor.revocation),
        "",
    ]
    return "\n".join(lines).encode("utf-8")


def _checked_text(text: object, what: str) -> str:
    if not (isinstance(text, str) and 0 < len(text) <= MAX_TEXT and text.isprintable()):
        raise TrustError(
            "anchor-note-invalid",
            f"An anchor's {what} must be printable text of 1 to {MAX_TEXT} characters.",
        )
    return text
