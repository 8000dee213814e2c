"""Two node homes that know each other: one answers, one asks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLContext
from typing import Self

from directory.model import PinUse
from node.demo.free_ports import free_ports
from node.identity import Role, identity_files, network_anchors, saml_signer, tls_identity
from node.model import Code, Demographics, HomeCommunityId, PatientId, Peer, Principal, Transaction
from node.opened import OpenedHome, opened_home
from node.own_entry import address, own_organization
from node.policy.purposes import purpose_register
from node.records.index import NewDocument
from node.settings import NodeHome, Settings, load_settings
from node.setup import NewNode, issue_all, make_ca, make_home
from node.wire.document_facts import DocumentFacts
from tests.bench import organizations, people
from trust.anchors import authorised
from trust.certificates import load_certificates
from trust.keys import KeyKind, spki_sha256
from trust.signer import KeySigner
from trust.tls import client_context
from trust.usages import Usage

_MAX_DOCUMENT = 1 << 30
_PIECE = 100_000
_QHINS = (0, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchNode:
    """One node home and its settings."""

    home: NodeHome
    settings: Settings

    @classmethod
    def at(cls, folder: Path) -> Self:
        """An existing one."""
        home = NodeHome(folder)
        return cls(home=home, settings=load_settings(home))

    @property
    def home_community_id(self) -> HomeCommunityId:
        return HomeCommunityId(self.settings.node.home_community_id)

    @property
    def signer(self) -> KeySigner:
        return saml_signer(self.home, self.settings)

    @property
    def client_context(self) -> SSLContext:
        anchors = authorised(network_anchors(self.home))
        identity = tls_identity(self.home, self.settings, Role.CLIENT)
        return client_context(identity, anchors[Usage.TLS_SERVER])

    @property
    def principal(self) -> Principal:
        """The system user, asking for treatment."""
        node, user = self.settings.node, self.settings.principal
        return Principal(
            subject_id=user.subject_id,
            user_id="bench@asker.example",
            organization=node.name,
            organization_id=node.organization_id,
            home_community_id=self.home_community_id,
            role=Code(code=user.role, scheme=user.role_system, display=user.role_display),
            purpose=purpose_register().purposes[organizations.PURPOSE].code,
        )

    def peer(self, transaction: Transaction) -> Peer:
        """This node as the target of a transaction."""
        return Peer(
            organization_id=self.settings.node.organization_id,
            home_community_id=self.home_community_id,
            name=self.settings.node.name,
            address=address(self.settings, transaction),
        )

    def patient_id(self, number: int) -> PatientId:
        """Our id of person ``number``."""
        authority = self.settings.node.assigning_authority
        return PatientId(assigning_authority=authority, id=people.local_id(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The answering and the asking node.

    ``documents`` are the unique ids of documents with content, by size in bytes; ``charts`` the
    persons who have so many document entries, by number of entries.
    """

    answering: BenchNode
    asking: BenchNode
    documents: dict[int, str]
    charts: dict[int, int]


def make_pair(
    folder: Path,
    *,
    patients: int,
    organizations_known: int,
    sizes: tuple[int, ...],
    charts: tuple[int, ...],
) -> Pair:
    """Make both homes with keys, a directory of both and others, people and documents.

    RSA-2048 for assertions is the least that networks allow (QTF-501), and the cheapest to check:
    the floor is as low as it can be.
    """
    now = datetime.now(UTC)
    ca = make_ca(folder / "ca", "ca", "Bench development CA", now=now)
    (port,) = free_ports(1)
    nodes = []
    for key, root, url in (
        ("answering", "2.999.41", f"https://localhost:{port}"),
        ("asking", "2.999.42", f"https://{organizations.gateway(_QHINS[1])}"),
    ):
        home = NodeHome(folder / key)
        new = NewNode(
            name=f"The {key} node",
            home_community_id=f"urn:oid:{root}",
            organization_id=root,
            public_url=url,
            port=port,
            grpc_port=0,
            ops_port=0,
            console_port=0,
            initiates=(organizations.PURPOSE,),
        )
        make_home(home, new, now=now)
        settings = load_settings(home)
        issue_all(home, settings, ca, now=now, kind=KeyKind.RSA_2048)
        nodes.append(BenchNode(home=home, settings=settings))
    answering, asking = nodes
    register = purpose_register()
    own = [
        replace(own_organization(n.settings, register), part_of=above, managing_organization=above)
        for n, above in zip((answering, asking), map(organizations.oid, _QHINS), strict=True)
    ]
    held: dict[int, str] = {}
    with opened_home(answering.home, answering.settings) as opened:
        rows = organizations.rows(organizations_known, *own)
        opened.directory.import_rows(rows, source="bench", now=now)
        opened.index.add_patients(people.people(patients), now)
        by_entries = {count: number for number, count in enumerate(charts)}
        for count, number in by_entries.items():
            for n in range(count):
                _add(opened, people.person(number), f"2.999.41.9.{number}.{n}", 2_000 + n, now)
        for size in sizes:
            held[size] = f"2.999.41.8.{size}"
            _add(opened, people.person(len(charts)), held[size], size, now)
    return Pair(answering=answering, asking=asking, documents=held, charts=by_entries)


def pin_asker(pair: Pair, *, pinned: bool) -> None:
    """Tie the asker's keys to its entry at the answering node, or forget them."""
    organization_id = pair.asking.settings.node.organization_id
    uses = {Role.CLIENT: (PinUse.TLS,), Role.SAML: (PinUse.ASSERTION, PinUse.HOLDER)}
    with opened_home(pair.answering.home, pair.answering.settings) as opened:
        local = opened.directory.local
        for role, pins in uses.items():
            certificate = load_certificates(identity_files(pair.asking.home, role).certificate)[0]
            spki = spki_sha256(certificate)
            for use in pins:
                if pinned:
                    local.pin(organization_id, spki, use, now=datetime.now(UTC))
                else:
                    local.unpin(organization_id, spki, use)


def _add(
    opened: OpenedHome, patient: Demographics, unique_id: str, size: int, now: datetime
) -> None:
    """Store and index one document of made-up text about a person."""
    stored = opened.content.put(_text(unique_id, size), max_bytes=_MAX_DOCUMENT)
    code = Code(code="34133-9", scheme="2.16.840.1.113883.6.1", display="Summary of episode note")
    facts = DocumentFacts(
        patient=patient,
        mime_type="text/xml",
        unique_id=unique_id,
        type_code=code,
        class_code=code,
        format_code=Code(
            code="urn:hl7-org:sdwg:ccda-structuredBody:2.1", scheme="1.3.6.1.4.1.19376.1.2.3"
        ),
        title="Continuity of Care Document",
        language="en-US",
        creation_time=now.strftime("%Y%m%d"),
        service_start=now.strftime("%Y%m%d"),
        service_stop=now.strftime("%Y%m%d"),
    )
    opened.index.add([NewDocument(facts=facts, content=stored.content, path=unique_id)], now)


def _text(seed: str, size: int) -> Iterator[bytes]:
    """So many bytes that no two documents share."""
    block = hashlib.shake_256(seed.encode()).hexdigest(_PIECE // 2).encode()
    while size > 0:
        yield block[:size]
        size -= len(block)
