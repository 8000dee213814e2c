"""Builds a sample network on disk: a CA, a node home for every organisation, one directory, pins.

What an operator would do by hand for each node: settings, certificates, records, the directory's
import, the peers' keys.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import orjson

from directory.export import export_bundle
from directory.model import Organization, PinUse
from directory.rows import rows_of_bundle
from node.demo.free_ports import free_ports
from node.demo.people import Behaviour, Organisation
from node.demo.plan import MemberPlan, NetworkPlan
from node.errors import SettingsError
from node.identity import Role, identity_files
from node.model import PatientId
from node.opened import OpenedHome, opened_home
from node.own_entry import own_organization
from node.policy.purposes import purpose_register
from node.published_keys import published_keys
from node.records.folder import load_folder
from node.settings import NodeHome, Settings, load_settings
from node.setup import NewNode, issue_all, make_ca, make_home
from trust.ca import CertificateAuthority
from trust.certificates import load_certificates
from trust.keys import KeyKind, spki_sha256

SOURCE = "sample-network"
_OPT_OUT = "opt-out.csv"
_HOST = "127.0.0.1"
_DELAY_FACTOR = 10
_MAX_DELAY = 600.0
_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltNode:
    """One organisation's node home, ready to be served."""

    organisation: Organisation
    home: NodeHome
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltMember:
    """An answering node; ``held`` are the SHA-256 (hex) of the documents it has of the patient."""

    node: BuiltNode
    behaviour: Behaviour
    held: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A sample network on disk; ``prying`` is a node that misuses it, and serves nothing."""

    plan: NetworkPlan
    folder: Path
    ca: Path
    asking: BuiltNode
    members: tuple[BuiltMember, ...]
    prying: BuiltNode | None = None

    @property
    def served(self) -> tuple[BuiltNode, ...]:
        """The nodes that run: all but those that are down."""
        up = (m.node for m in self.members if m.behaviour is not Behaviour.IS_DOWN)
        return (self.asking, *up)


def build_network(
    plan: NetworkPlan,
    folder: Path,
    now: datetime,
    *,
    patience: float,
    prying: Organisation | None = None,
    done: Callable[[str], None] = lambda _: None,
) -> Network:
    """Make all homes, certificates, records and directories of a network.

    Args:
        plan: who takes part and holds what.
        folder: where; it may exist, but only empty.
        now: when certificates become valid and what is imported is dated.
        patience: seconds that the asking node gives a peer for discovery.
        prying: who else takes part, asks only, and has no endpoint.
        done: told what has been made, in a sentence.

    Raises:
        SettingsError: ``demo-home-not-empty``; ``demo-data-unusable`` when a member cannot tell the
            person it is asked for from others.
        TrustError: when a key cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError("demo-home-not-empty", "The demo needs a folder that is empty.")
    authority = make_ca(folder / "ca", "ca", "Sample network development CA", now=now)
    done("made a development CA")
    ports = iter(free_ports(4 * (len(plan.members) + 2)))
    make = _Maker(folder=folder, authority=authority, purpose=plan.purpose, now=now, ports=ports)
    seconds = f"per_peer_discovery_seconds = {patience}"
    asking = make.node(plan.asking, extra=f"\n[asking]\n{seconds}\n")
    # whoever tries the console has no authenticator app at hand
    _put(asking.home, "console", "one_time_codes = false")
    nodes = [_member_node(make, member, patience) for member in plan.members]
    pry = make.node(prying) if prying else None
    everybody = [asking, *nodes, *([pry] if pry else [])]
    done(f"made {len(everybody)} node homes, each with certificates of its own")
    entries = _entries(plan, everybody, now, without_endpoint=prying)
    bundle = _bundle(entries)
    (folder / "directory.json").write_bytes(orjson.dumps(bundle, option=orjson.OPT_INDENT_2))
    members = []
    with ExitStack() as stack:
        homes = [stack.enter_context(opened_home(node.home, node.settings)) for node in everybody]
        for opened in homes:
            opened.directory.import_rows(rows_of_bundle(bundle), source=SOURCE, now=now)
            _pin(opened, everybody, now)
        done(f"imported the directory of {len(entries)} organisations and pinned the peers' keys")
        for member, node, opened in zip(
            plan.members, nodes, homes[1 : len(nodes) + 1], strict=True
        ):
            members.append(_with_records(plan, member, node, opened, now))
    total = sum(len(member.files) for member in plan.members)
    done(f"loaded {total} documents into the members' records")
    return Network(
        plan=plan,
        folder=folder,
        ca=folder / "ca" / "ca.pem",
        asking=asking,
        members=tuple(members),
        prying=pry,
    )


# --- node homes ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """What all nodes of a network share while they are made."""

    folder: Path
    authority: CertificateAuthority
    purpose: str
    now: datetime
    ports: Iterator[int]

    def node(self, organisation: Organisation, *, extra: str = "", delay: float = 0) -> BuiltNode:
        """A node home with keys and certificates; ``extra`` goes after ``[policy]``."""
        home = NodeHome(self.folder / organisation.key)
        port, grpc_port, ops_port, console_port = (next(self.ports) for _ in range(4))
        new = NewNode(
            name=organisation.name,
            home_community_id=organisation.home_community_id,
            organization_id=organisation.oid,
            public_url=f"https://localhost:{port}",
            host=_HOST,
            port=port,
            grpc_port=grpc_port,
            ops_port=ops_port,
            console_port=console_port,
            initiates=(self.purpose,),
        )
        make_home(home, new, now=self.now, extra=extra)
        _put(home, "node", f'npi = "{organisation.npi}"')
        if delay:
            _put(home, "listen", f"answer_delay_seconds = {delay}")
        settings = load_settings(home)
        # RSA-2048 is what networks use at least (QTF-501), and made in a fraction of the time
        issue_all(home, settings, self.authority, now=self.now, kind=KeyKind.RSA_2048)
        return BuiltNode(organisation=organisation, home=home, settings=settings)


def _member_node(make: _Maker, member: MemberPlan, patience: float) -> BuiltNode:
    match member.behaviour:
        case Behaviour.DECLINES:
            # this organisation says openly that the patient asked not to share
            extra = f'opt_out_file = "{_OPT_OUT}"\nquiet_opt_out = false\n'
            return make.node(member.organisation, extra=extra)
        case Behaviour.IS_SLOW:
            delay = min(patience * _DELAY_FACTOR, _MAX_DELAY)
            return make.node(member.organisation, delay=delay)
        case _:
            return make.node(member.organisation)


def _put(home: NodeHome, section: str, line: str) -> None:
    """Add a line to a section of ``node.toml``, as an operator would."""
    text = home.settings_file.read_text(encoding="utf-8")
    changed = text.replace(f"[{section}]\n", f"[{section}]\n{line}\n", 1)
    home.settings_file.write_text(changed, encoding="utf-8")


# --- the directory ------------------------------------------------------------------------------


def _entries(
    plan: NetworkPlan,
    nodes: Sequence[BuiltNode],
    now: datetime,
    *,
    without_endpoint: Organisation | None = None,
) -> list[Organization]:
    """The QHIN and below it every node's own entry, as each would publish it."""
    qhin = Organization(
        id=plan.network.oid,
        name=plan.network.name,
        type="QHIN",
        home_community_ids=(plan.network.home_community_id,),
        npis=(plan.network.npi,),
    )
    register = purpose_register()
    own = [
        replace(
            own_organization(node.settings, register),
            keys=published_keys(node.home, node.settings, now=now),
        )
        for node in nodes
    ]
    hidden = without_endpoint.oid if without_endpoint else None
    own = [replace(each, endpoints=()) if each.id == hidden else each for each in own]
    return [
        qhin,
        *(
            replace(entry, type="Participant", part_of=qhin.id, managing_organization=qhin.id)
            for entry in own
        ),
    ]


def _bundle(entries: Sequence[Organization]) -> dict[str, object]:
    resources = [
        entry for organization in entries for entry in export_bundle(organization)["entry"]
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": resources}


def _pin(opened: OpenedHome, nodes: Sequence[BuiltNode], now: datetime) -> None:
    """Tie every peer's keys to its entry; TLS keys are those of both its sides."""
    uses = {
        Role.SERVER: (PinUse.TLS,),
        Role.CLIENT: (PinUse.TLS,),
        Role.SAML: (PinUse.ASSERTION, PinUse.HOLDER),
    }
    for node in nodes:
        if node.organisation.oid == opened.settings.node.organization_id:
            continue
        for role, pinned in uses.items():
            certificate = load_certificates(identity_files(node.home, role).certificate)[0]
            for use in pinned:
                opened.directory.local.pin(
                    node.organisation.oid, spki_sha256(certificate), use, now=now
                )


# --- records ------------------------------------------------------------------------------------


def _with_records(
    plan: NetworkPlan, member: MemberPlan, node: BuiltNode, opened: OpenedHome, now: datetime
) -> BuiltMember:
    folder = node.home.path / "given"
    folder.mkdir(mode=0o700)
    for file in member.files:
        (folder / file.name).write_bytes(file.content)
    load_folder(folder, opened.index, opened.content, now)
    patient_id, held = _held(plan, opened)
    behaviour = member.behaviour
    if behaviour is Behaviour.DOES_NOT_KNOW and patient_id is not None:
        raise SettingsError(
            "demo-data-unusable", f"{node.organisation.name} was to hold nothing of the patient."
        )
    if behaviour in (Behaviour.HOLDS, Behaviour.DECLINES) and patient_id is None:
        raise SettingsError(
            "demo-data-unusable",
            f"{node.organisation.name} cannot tell the patient from others by these documents.",
        )
    if behaviour is Behaviour.DECLINES and patient_id is not None:
        _opt_out(node.home, patient_id)
    if member.about_patient is not None:
        held = member.about_patient
    return BuiltMember(node=node, behaviour=behaviour, held=held)


def _held(plan: NetworkPlan, opened: OpenedHome) -> tuple[PatientId | None, frozenset[str]]:
    """The patient's id at a member and the digests of the documents that are filed under it."""
    found = opened.index.match(plan.demographics)
    if not found:
        return None, frozenset()
    patient_id, digests, after = found[0].patient_id, set(), ""
    while page := opened.index.documents(after=after, limit=_PAGE):
        after = page[-1].entry.entry_uuid
        digests |= {held.sha256 for held in page if held.entry.patient_id == patient_id}
    return patient_id, frozenset(digests)


def _opt_out(home: NodeHome, patient_id: PatientId) -> None:
    with (home.path / _OPT_OUT).open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("assigning_authority", "id"))
        rows.writerow((patient_id.assigning_authority, patient_id.id))
