"""From a signing request to a switched identity: what ``cert`` and the making of homes do.

Nothing here prints. Every step leaves the identity in use as it is until the switch; a step that
only says what it would do (``dry_run``) writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from node.errors import OurFault, TrustError
from node.identity import (
    Certified,
    FhirClient,
    FhirServer,
    IdentityFiles,
    Role,
    all_identities,
    identity_files,
    network_anchors,
    passphrase,
    signer,
    tls_identity,
    version_files,
)
from node.identity_store import (
    begin,
    changing,
    described,
    held_serials,
    make_live,
    note,
    versions,
)
from node.settings import NodeHome, Settings
from node.token import open_key
from trust.anchors import authorised
from trust.certificate_import import ImportContext, ImportVerdict, Revocation, check_import
from trust.certificates import Bundle, arrange, load_certificates
from trust.chain import Finding, Strength
from trust.files import write_file
from trust.keys import PrivateKey, spki_sha256
from trust.lifecycle import (
    GONE,
    TRANSITIONS,
    IdentityRecord,
    Records,
    State,
    Verb,
    active,
    compromised_keys,
    next_version,
    of_version,
    used_keys,
    waiting,
)
from trust.rehearsal import rehearse_client, rehearse_server, rehearse_signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What became of a certificate that a CA issued.

    Attributes:
        verdict: the answers to the questions of the import, the trial handshake's among them.
        version: the version it is, or would be; ``None`` when it was refused.
        renews: whether it is for the key that is in use.
    """

    verdict: ImportVerdict
    version: int | None
    renews: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """What a switch changed, or would: version numbers, and why it did not happen."""

    before: int | None
    after: int
    refusal: Finding | None = None


def stage(
    home: NodeHome,
    settings: Settings,
    role: Certified,
    bundle: Bundle,
    *,
    hosts: tuple[str, ...],
    uris: tuple[str, ...] = (),
    revocation: Revocation | None = None,
    allow_used_key: bool = False,
    now: datetime,
    dry_run: bool = False,
) -> Staged:
    """Check a certificate from a CA and keep it beside the one in use; ``cert switch`` is next.

    It has to be for the key of the version that waits for one, or of the one in use. Then it is
    tried out in a handshake. What the questions refuse is not kept; what fails its trial is, and
    cannot be switched on.

    Args:
        home: the node home.
        settings: its settings.
        role: whose identity.
        bundle: what the CA sent.
        hosts: what its certificate must cover, the first of which the trial asks for.
        uris: what it must carry.
        revocation: judges its chain by what is known of revocation.
        allow_used_key: take a key that an earlier version or another identity has used.
        now: the current time.
        dry_run: check, but keep nothing.

    Raises:
        TrustError: when there is no key, or files cannot be read or written.
    """
    records = versions(home, role, now=now)
    target = _target(records, spki_sha256(bundle.leaf))
    files = version_files(home, role, target.version) if target else identity_files(home, role)
    if target is not None and not files.key.exists():
        files = identity_files(home, role)  # plain files from elsewhere
    key = open_key(home, settings, files.key, passphrase=passphrase(settings))
    verdict = check_import(
        bundle,
        ImportContext(
            key=key,
            usages=role.usages,
            hosts=hosts,
            anchors=tuple(authorised(network_anchors(home))[role.usages[0]]),
            floor=Strength(settings.trust.minimum_strength),
            uris=uris,
            known_fingerprints={r.certificate_sha256 for r in records if r.certificate_sha256},
            known_serials=held_serials(home),
            compromised_keys=compromised_keys(of_all(home, now=now)),
            used_keys=used_keys(of_all(home, now=now)),
            allow_used_key=allow_used_key,
            revocation=revocation,
        ),
        now=now,
    )
    in_use = active(records)
    renews = target is not None and target is in_use
    if not verdict.ok or dry_run:
        number = None if not verdict.ok else _number(records, target, renews=renews)
        return Staged(verdict=verdict, version=number, renews=renews)
    with changing(home, role, now=now):
        record = keep(home, settings, role, bundle, key, now=now)
        files = version_files(home, role, record.version)
        finding = rehearse(home, settings, role, files, host=hosts[0] if hosts else None)
        if finding is None:
            note(home, role, record.after(Verb.VERIFY, now=now), now=now)
        else:
            verdict = replace(verdict, refusals=(finding,))
    return Staged(verdict=verdict, version=record.version, renews=renews)


def of_all(home: NodeHome, *, now: datetime) -> Records:
    """The versions of all identities together. Raises ``TrustError``."""
    return tuple(
        record for identity in all_identities(home) for record in versions(home, identity, now=now)
    )


def keep(
    home: NodeHome,
    settings: Settings,
    role: Certified,
    bundle: Bundle,
    key: PrivateKey,
    *,
    now: datetime,
) -> IdentityRecord:
    """Keep a checked certificate and its key as a staged version; call inside ``changing``.

    Raises:
        TrustError: when files cannot be written.
    """
    target = _target(versions(home, role, now=now), spki_sha256(key))
    if target is None or target.state is State.ACTIVE:
        target = begin(home, role, key, passphrase=passphrase(settings), now=now)
    files = version_files(home, role, target.version)
    write_file(files.certificate, bundle.pem(), replace=True)
    record = described(target.after(Verb.RECEIVE, now=now), files)
    note(home, role, record, now=now)
    return record


def switch(
    home: NodeHome,
    settings: Settings,
    role: Certified,
    *,
    version: int | None = None,
    host: str | None = None,
    now: datetime,
    dry_run: bool = False,
) -> Switch:
    """Put a version in use, after trying it out once more; a failed trial changes nothing.

    Args:
        home: the node home.
        settings: its settings.
        role: whose identity.
        version: which one; the newest that waits when ``None``.
        host: what the trial's client expects of the server's certificate.
        now: the current time.
        dry_run: try, but change nothing.

    Raises:
        TrustError: ``version-unknown``, ``lifecycle-refused``, and when files cannot be used.
    """
    if dry_run:
        records = versions(home, role, now=now)
        return _tried(home, settings, role, records, version=version, host=host, now=now)
    with changing(home, role, now=now) as records:
        tried = _tried(home, settings, role, records, version=version, host=host, now=now)
        if tried.refusal is None:
            chosen = of_version(records, tried.after)
            if Verb.VERIFY in TRANSITIONS[chosen.state]:
                note(home, role, chosen.after(Verb.VERIFY, now=now), now=now)
            make_live(home, role, tried.after, now=now)
        return tried


def rehearse(
    home: NodeHome,
    settings: Settings,
    role: Certified,
    files: IdentityFiles | None = None,
    *,
    host: str | None = None,
) -> Finding | None:
    """Try out a role's key and certificate as peers will; why it failed, or ``None``.

    Raises:
        TrustError: when the files cannot be loaded at all.
    """
    anchors = authorised(network_anchors(home))[role.usages[0]]
    if isinstance(role, FhirClient | FhirServer) or role is Role.SAML:
        return rehearse_signer(signer(home, settings, role, files))
    identity = tls_identity(home, settings, role, files)
    if role is Role.CLIENT:
        return rehearse_client(identity, anchors)
    return rehearse_server(identity, anchors, host or "localhost")


def check_trial(
    home: NodeHome, settings: Settings, role: Certified, *, host: str | None = None
) -> None:
    """Try out the files in use.

    Raises:
        CodedError: ``identity-trial-failed``, or why they cannot be loaded at all.
    """
    finding = rehearse(home, settings, role, host=host)
    if finding is not None:
        raise OurFault("identity-trial-failed", finding.sentence, detail=finding.code)


def _tried(
    home: NodeHome,
    settings: Settings,
    role: Certified,
    records: Records,
    *,
    version: int | None,
    host: str | None,
    now: datetime,
) -> Switch:
    chosen = of_version(records, version) if version is not None else waiting(records)
    if chosen is None:
        raise TrustError("version-unknown", f"No version of the {role} identity waits.")
    verified = (
        chosen.after(Verb.VERIFY, now=now) if Verb.VERIFY in TRANSITIONS[chosen.state] else chosen
    )
    verified.after(Verb.ACTIVATE, now=now)
    in_use = active(records)
    files = version_files(home, role, chosen.version)
    return Switch(
        before=in_use.version if in_use else None,
        after=chosen.version,
        refusal=rehearse(home, settings, role, files, host=host)
        or _out_of_date(arrange(load_certificates(files.certificate)), now),
    )


def _out_of_date(bundle: Bundle, now: datetime) -> Finding | None:
    for certificate in (bundle.leaf, *bundle.intermediates):
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return Finding(
                code="certificate-expired", sentence="Its certificate or chain is not valid now."
            )
    return None


def _target(records: Records, spki: str) -> IdentityRecord | None:
    """The version a key belongs to: the newest waiting one of that key, or the active one."""
    fitting = [r for r in records if r.spki_sha256 == spki and r.state not in GONE]
    return waiting(fitting) or active(fitting)


def _number(records: Records, target: IdentityRecord | None, *, renews: bool) -> int:
    return next_version(records) if target is None or renews else target.version
