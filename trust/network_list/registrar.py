"""What a registrar decides in a network's folder before anybody signs it: anchors and policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trust.certificates import fingerprint, parse_certificates
from trust.chain import Strength, check_anchor
from trust.errors import TrustError
from trust.files import write_file
from trust.network_list import names
from trust.network_list.listing import AnchorTerms, NetworkPolicy, terms_of
from trust.network_list.workspace import Workspace
from trust.revocation_policy import ANCHOR_DEFAULT, RevocationRule, rule_table
from trust.usages import PARTNER_USES, Usage

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedAnchor:
    """An anchor that the list will have: its name, its certificate, what it is worth."""

    name: str
    certificate: x509.Certificate
    terms: AnchorTerms


def anchors_of(workspace: Workspace) -> tuple[StagedAnchor, ...]:
    """The anchors that the list will have, by name.

    Raises:
        TrustError: ``network-not-here``, ``network-list-invalid``, and those of a damaged file.
    """
    policy = workspace.policy()
    return tuple(
        StagedAnchor(
            name=path.stem,
            certificate=parse_certificates(path.read_bytes())[0],
            terms=terms_of(policy, _file(path.stem)),
        )
        for path in sorted(workspace.anchors.glob("*.pem"))
    )


def add_anchor(
    workspace: Workspace,
    name: str,
    certificate: x509.Certificate,
    *,
    now: datetime,
    uses: Sequence[Usage] = PARTNER_USES,
    revocation: RevocationRule = ANCHOR_DEFAULT,
) -> StagedAnchor:
    """Lists an anchor; one of the same name gets another certificate and other terms.

    Raises:
        TrustError: ``network-anchor-invalid``, ``anchor-refused`` for what is no valid CA
            certificate now, ``network-not-here``, ``file-not-written``.
    """
    if not _NAME.fullmatch(name) or not names.ANCHOR.fullmatch(_file(name)):
        raise TrustError("network-anchor-invalid", "An anchor has no usable file name.")
    finding = check_anchor(certificate, now=now)
    if finding is not None:
        raise TrustError("anchor-refused", finding.sentence, detail=finding.code)
    if not uses:
        raise TrustError("anchor-note-invalid", "An anchor must be authorised for some use.")
    policy, file = workspace.policy(), _file(name)
    workspace.write_policy(
        replace(
            policy,
            uses={**policy.uses, file: tuple(dict.fromkeys(uses))},
            revocation={**policy.revocation, file: rule_table(revocation)},
        )
    )
    path = workspace.anchors / f"{name}.pem"
    write_file(path, certificate.public_bytes(Encoding.PEM), replace=True)
    terms = AnchorTerms(uses=tuple(uses), revocation=revocation)
    return StagedAnchor(name=name, certificate=certificate, terms=terms)


def remove_anchor(workspace: Workspace, name: str) -> StagedAnchor | None:
    """Takes an anchor from the list, by its name or fingerprint; ``None`` when there is none.

    Raises:
        TrustError: as :func:`anchors_of`.
    """
    wanted = name.lower().replace(":", "")
    found = next(
        (
            anchor
            for anchor in anchors_of(workspace)
            if anchor.name == name or fingerprint(anchor.certificate) == wanted
        ),
        None,
    )
    if found is None:
        return None
    (workspace.anchors / f"{found.name}.pem").unlink()
    policy, file = workspace.policy(), _file(found.name)
    workspace.write_policy(
        replace(
            policy, uses=_without(policy.uses, file), revocation=_without(policy.revocation, file)
        )
    )
    return found


def set_policy(
    workspace: Workspace,
    *,
    minimum_strength: Strength | None = None,
    purposes: Sequence[str] | None = None,
) -> NetworkPolicy:
    """Changes the policy; what is ``None`` stays. Empty ``purposes`` restrict nobody.

    Raises:
        TrustError: ``network-not-here``, ``network-list-invalid``.
    """
    before = workspace.policy()
    after = replace(
        before,
        minimum_strength=minimum_strength or before.minimum_strength,
        purposes=before.purposes if purposes is None else tuple(dict.fromkeys(purposes)),
    )
    workspace.write_policy(after)
    return after


def _file(name: str) -> str:
    return f"anchors/{name}.pem"


def _without(given: Mapping[str, T], key: str) -> dict[str, T]:
    return {name: value for name, value in given.items() if name != key}
