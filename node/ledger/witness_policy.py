"""What an auditor demands of our log, as a C2SP tlog-policy file: keys, witnesses, how many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from node.errors import LogError
from node.ledger.log_files import LogFolder
from node.ledger.sealer import WITNESSED
from node.ledger.tlog.note import MAX_NOTE, VerifierKey
from node.ledger.tlog.policy import NONE, accept, parse_policy
from node.ledger.witness_peers import WitnessPeer, needed

GROUP: Final = "peers"


def policy_text(
    log_keys: Iterable[VerifierKey], log_address: str, peers: Sequence[WitnessPeer], quorum: int
) -> str:
    """The policy of one year's log, with a line for each of its keys.

    Args:
        log_keys: under the log's origin.
        log_address: where the log can be read.
        peers: who witnesses it; those that do not are passed over.
        quorum: how many of them must have signed.

    Raises:
        LogError: ``log-policy-invalid`` when the keys make no policy.
    """
    witnesses = [peer for peer in peers if peer.is_witness]
    lines = [f"log {key} {log_address}" for key in log_keys]
    members = []
    for peer in witnesses:
        name = _name(peer.organization_id)
        members.append(name)
        names = [name, *(f"{name}/{n}" for n in range(2, 9))][: len(peer.witness_keys)]
        if len(names) > 1:
            names[0] = f"{name}/1"
        for each, key in zip(names, peer.witness_keys, strict=True):
            lines.append(f"witness {each} {key} {peer.address}")
        if len(names) > 1:
            lines.append(f"group {name} any {' '.join(names)}")
    if members:
        lines.append(f"group {GROUP} {needed(witnesses, quorum)} {' '.join(members)}")
    lines.append(f"quorum {GROUP if members else NONE}")
    text = "".join(f"{line}\n" for line in lines)
    parse_policy(text.encode())
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedBy:
    """The newest checkpoint that enough witnesses signed: its size, and who signed when."""

    size: int
    times: Mapping[str, datetime]


def witnessed_by(
    folder: LogFolder, log_keys: Iterable[VerifierKey], peers: Sequence[WitnessPeer]
) -> WitnessedBy | None:
    """Who of the accepted witnesses signed what is published; ``None`` when nobody did.

    Raises:
        LogError: when the file is there and cannot be believed.
    """
    try:
        data = folder.read(WITNESSED, MAX_NOTE)
    except LogError as error:
        if error.code == "log-file-missing":
            return None
        raise
    policy = parse_policy(policy_text(log_keys, "", peers, 1).encode())
    accepted = accept(replace(policy, quorum=NONE), data)
    times = {name: datetime.fromtimestamp(time, UTC) for name, time in accepted.witnessed.items()}
    return WitnessedBy(size=accepted.checkpoint.size, times=times) if times else None


def _name(organization_id: str) -> str:
    """A directory id, unless the policy's own words are the same."""
    return f"{organization_id}/" if organization_id in (GROUP, NONE) else organization_id
