"""A small network of real nodes for tests: homes on disk, one CA, one directory, processes."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from directory.export import export_bundle
from directory.model import Organization, PinUse
from directory.rows import rows_of_bundle
from node.demo.free_ports import free_ports
from node.identity import Role, identity_files
from node.ledger.find import Entry, tail
from node.ledger.leaf import Kind
from node.model import HomeCommunityId, Transaction
from node.opened import OpenedHome, opened_home
from node.own_entry import address, own_organization
from node.policy.purposes import purpose_register
from node.published_keys import published_keys
from node.records.folder import load_folder
from node.settings import NodeHome, Settings, load_settings
from node.setup import NewNode, issue_all, make_ca, make_home
from node.storage.engine import open_engine
from tests.warm_start import WarmProcess
from trust.ca import CertificateAuthority
from trust.certificates import load_certificates
from trust.keys import KeyKind, spki_sha256

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
ARC = "2.999.90"
TREATMENT = "T-TRTMNT"
START_SECONDS = 60.0
_PAGE = 1000
_USES = {
    Role.SERVER: (PinUse.TLS,),
    Role.CLIENT: (PinUse.TLS,),
    Role.SAML: (PinUse.ASSERTION, PinUse.HOLDER),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One organisation: its node home, and what its settings say."""

    name: str
    oid: str
    home: NodeHome
    settings: Settings

    @property
    def hcid(self) -> HomeCommunityId:
        return HomeCommunityId(f"urn:oid:{self.oid}")

    @property
    def grpc(self) -> str:
        return f"localhost:{self.settings.grpc.port}"

    def url(self, transaction: Transaction) -> str:
        return address(self.settings, transaction)

    def ledger(self) -> list[Entry]:
        """The entries of exchanges, oldest first, as another process reads them."""
        return [entry for entry in self.log() if entry.fields["kind"] == Kind.EXCHANGE]

    def log(self) -> list[Entry]:
        """All entries, oldest first, as another process reads them."""
        engine = open_engine(self.home.database_url(self.settings))
        try:
            entries: list[Entry] = []
            while page := tail(engine, after=entries[-1].seq if entries else -1, limit=_PAGE):
                entries.extend(page)
            return entries
        finally:
            engine.dispose()

    def entry_of(self, message_id: str) -> Entry:
        """The one entry with a message id."""
        (found,) = [e for e in self.ledger() if e.fields.get("msg") == message_id]
        return found

    def cli(self, *arguments: str | Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one command as an operator does."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = WarmProcess(
                ["--home", self.home.path, *arguments],
                folder=ROOT, stdout=out.fileno(), stderr=err.fileno(),
            )  # fmt: skip
            try:
                process.wait(seconds)
            finally:
                process.kill()
            told = [_text_of(file) for file in (out, err)]
        return subprocess.CompletedProcess(["tefca-node", *arguments], process.wait(), *told)


@dataclass(slots=True)
class Running:
    """A serving process; ``log`` is what it wrote to standard error."""

    site: Site
    process: subprocess.Popen[bytes] | WarmProcess
    bound: dict[str, str]
    log: Path

    @property
    def peak_kib(self) -> int:
        """The most memory it ever had, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0])

    def stop(self) -> int:
        """End it in good order; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        self.kill()
        assert self.process.returncode is not None
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL, to whatever is left of it."""
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()


@contextlib.contextmanager
def serving(site: Site, *, anew: bool = False) -> Iterator[Running]:
    """A node's process, ready; killed at the end whatever happened."""
    running = start(site, anew=anew)
    try:
        yield running
    finally:
        running.stop()


def start(site: Site, *, anew: bool = False) -> Running:
    """Start a node and wait for its readiness line; ``anew``: by a Python of its own."""
    log = site.home.path.parent / f"{site.name}.stderr"
    words = ["--home", site.home.path, "serve", "--json"]
    process: subprocess.Popen[bytes] | WarmProcess
    with log.open("ab") as stderr:
        if anew:
            process = subprocess.Popen(
                [sys.executable, "-m", "node", *words],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        else:
            process = WarmProcess(words, folder=ROOT, stdout=None, stderr=stderr.fileno())
    running = Running(site=site, process=process, bound={}, log=log)
    try:
        line = _first_line(process)
        running.bound = json.loads(line)
    except BaseException:
        running.kill()
        sys.stderr.write(log.read_text(encoding="utf-8"))
        raise
    return running


def _text_of(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode()


def _first_line(process: subprocess.Popen[bytes] | WarmProcess) -> bytes:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else b""
    assert line, "the node ended or took too long before it was ready"
    return line


# --- building -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Network:
    """Builds homes below one folder and one CA."""

    folder: Path
    sites: dict[str, Site] = field(default_factory=dict)
    authority: CertificateAuthority = field(init=False)

    def __post_init__(self) -> None:
        self.authority = make_ca(self.folder / "ca", "ca", "Test network CA", now=now())

    def add(
        self,
        name: str,
        *,
        initiates: Sequence[str] = (TREATMENT,),
        listen: str = "",
        extra: str = "",
        host: str = "localhost",
        public_url: str = "",
    ) -> Site:
        """A node home with certificates; ``listen`` goes into that section, ``extra`` behind.

        Peers reach it at ``host`` and its own port, or are told another ``public_url``.
        """
        home = NodeHome(self.folder / name)
        oid = f"{ARC}.{len(self.sites) + 1}"
        ports = free_ports(4)
        new = NewNode(
            name=f"{name.capitalize()} Health",
            home_community_id=f"urn:oid:{oid}",
            organization_id=oid,
            public_url=public_url or f"https://{host}:{ports[0]}",
            port=ports[0],
            grpc_port=ports[1],
            ops_port=ports[2],
            console_port=ports[3],
            initiates=tuple(initiates),
        )
        make_home(home, new, now=now(), extra=extra)
        if listen:
            text = home.settings_file.read_text(encoding="utf-8")
            home.settings_file.write_text(text.replace("[listen]\n", f"[listen]\n{listen}\n", 1))
        settings = load_settings(home)
        issue_all(home, settings, self.authority, now=now(), kind=KeyKind.RSA_2048)
        self.sites[name] = Site(name=name, oid=oid, home=home, settings=settings)
        return self.sites[name]

    def join(self, *, unlisted: Iterable[str] = (), unpinned: Iterable[str] = ()) -> None:
        """Import everybody but ``unlisted`` into every home, pin everybody but ``unpinned``."""
        listed = [s for s in self.sites.values() if s.name not in set(unlisted)]
        bundle = bundle_of([entry_of(site) for site in listed])
        pinned = [site for site in listed if site.name not in set(unpinned)]
        for site in self.sites.values():
            with opened_home(site.home, site.settings) as opened:
                opened.directory.import_rows(rows_of_bundle(bundle), source="test", now=now())
                for other in pinned:
                    if other is not site:
                        pin(opened, other)

    def load(self, name: str, documents: dict[str, bytes]) -> None:
        """Give a site records."""
        site = self.sites[name]
        folder = self.folder / f"{name}-given"
        folder.mkdir()
        for file, content in documents.items():
            (folder / file).write_bytes(content)
        with opened_home(site.home, site.settings) as opened:
            report = load_folder(folder, opened.index, opened.content, now())
        assert report.indexed == len(documents), report


def entry_of(site: Site) -> Organization:
    """A site's own directory entry."""
    return replace(
        own_organization(site.settings, purpose_register()),
        type="Participant",
        keys=published_keys(site.home, site.settings, now=now()),
    )


def bundle_of(entries: Sequence[Organization]) -> dict[str, Any]:
    """Directory entries as one FHIR Bundle."""
    resources = [each for entry in entries for each in export_bundle(entry)["entry"]]
    return {"resourceType": "Bundle", "type": "collection", "entry": resources}


def pin(opened: OpenedHome, other: Site) -> None:
    """Tie a site's keys to its entry."""
    for role, uses in _USES.items():
        certificate = load_certificates(identity_files(other.home, role).certificate)[0]
        for use in uses:
            opened.directory.local.pin(other.oid, spki_sha256(certificate), use, now=now())


def now() -> datetime:
    return datetime.now(UTC)


def until(condition: Any, *, seconds: float = 20) -> Any:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return result


# --- records ------------------------------------------------------------------------------------

FAMILY, GIVEN, BORN, MRN = "Quillwater", "Zephyrine", "19730914", "MRN-77120043"
SECOND_FAMILY, SECOND_GIVEN, SECOND_BORN = "Thistledown", "Ottoline", "19510220"


def cda(
    number: int,
    *,
    family: str = FAMILY,
    given: str = GIVEN,
    born: str = BORN,
    mrn: str = MRN,
    padding: int = 0,
) -> bytes:
    """A small C-CDA document about a made-up person; ``padding`` bytes make it larger."""
    text = "<paragraph>no known allergies</paragraph>" + "<!--" + "x" * padding + "-->"
    year = datetime.now(UTC).year
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
 <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
 <templateId root="2.16.840.1.113883.10.20.22.1.2"/>
 <id root="2.999.91.{number}"/>
 <code code="34133-9" codeSystem="2.16.840.1.113883.6.1" displayName="Summarization"/>
 <title>Summary {number}</title><effectiveTime value="{year}0102"/>
 <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="en-US"/>
 <recordTarget><patientRole><id root="2.999.91" extension="{mrn}"/>
  <addr><streetAddressLine>7 Harbour Lane</streetAddressLine><city>Duluth</city>
   <state>MN</state><postalCode>55802</postalCode><country>US</country></addr>
  <telecom value="tel:+1-218-555-0142"/>
  <patient><name><given>{given}</given><family>{family}</family></name>
   <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/>
   <birthTime value="{born}"/></patient></patientRole></recordTarget>
 <component><structuredBody><component><section>
  <code code="48765-2" codeSystem="2.16.840.1.113883.6.1"/><title>Allergies</title>
  <text>{text}</text></section></component></structuredBody></component>
</ClinicalDocument>
""".encode()


PERSON = (
    "--family", FAMILY, "--given", GIVEN, "--birth-date", "1973-09-14", "--sex", "F",
    "--street", "7 Harbour Lane", "--city", "Duluth", "--state", "MN", "--zip", "55802",
)  # fmt: skip


def read_json(text: str) -> Any:
    return orjson.loads(text)
