"""The local records: a folder becomes people and documents; queries and bytes come back."""

from __future__ import annotations

import contextlib
import gzip
import os
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha1, sha256
from pathlib import Path

import pytest
from orjson import dumps
from sqlalchemy import Engine, event, text

from node.errors import CodedError
from node.model import (
    Demographics,
    DocumentRef,
    HomeCommunityId,
    PatientId,
    PersonName,
    ReturnType,
    StoredQuery,
)
from node.records.entries import Community
from node.records.folder import Fate, FileResult, LoadLimits, load_folder
from node.records.index import RecordIndex
from node.records.source import LocalRecords
from node.records.store import ContentStore
from node.records.stored_queries import QueryPolicy
from node.records.tables import create_tables
from node.storage.engine import IMMEDIATE, open_engine
from node.wire.stored_query_catalogue import catalogue

HOME = HomeCommunityId("urn:oid:1.2.3")
COMMUNITY = Community(
    home_community_id=HOME, repository_unique_id="1.2.3.9", assigning_authority="1.2.3.1"
)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    def new_id(self) -> str:
        return "0"


@pytest.fixture
def engine(node_database: Engine) -> Engine:
    return node_database


@pytest.fixture
def index(engine: Engine) -> RecordIndex:
    return RecordIndex(engine, COMMUNITY)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "records")


@pytest.fixture
def source(index: RecordIndex, store: ContentStore) -> LocalRecords:
    return LocalRecords(index, store, QueryPolicy(home_community_id=HOME), FixedClock())


def cda(
    number: int,
    *,
    given: str = "Ana",
    family: str = "Lee",
    born: str = "19800102",
    sex: str = "F",
    ids: str = "",
    extra: str = "",
    year: int = 2025,
) -> bytes:
    return f"""<ClinicalDocument xmlns="urn:hl7-org:v3">
    <id root="1.9.{number}"/><code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/>
    <effectiveTime value="{year}0601"/><recordTarget><patientRole>{ids}{extra}<patient>
    <name><given>{given}</given><family>{family}</family></name>
    <administrativeGenderCode code="{sex}" codeSystem="2.16.840.1.113883.5.1"/>
    <birthTime value="{born}"/></patient></patientRole></recordTarget>
    <component><structuredBody/></component></ClinicalDocument>""".encode()


def ssn(number: str) -> str:
    return f'<id root="2.16.840.1.113883.4.1" extension="{number}"/>'


def asked(given: str = "Ana", family: str = "Lee", born: str = "19800102") -> Demographics:
    name = PersonName(family=family, given=(given,))
    return Demographics(names=(name,), birth_date=born, sex="F")


def find(patient: PatientId) -> StoredQuery:
    return StoredQuery(
        id=catalogue().named("FindDocuments").id,
        parameters=(
            ("$XDSDocumentEntryPatientId", (patient.cx,)),
            ("$XDSDocumentEntryStatus", ("urn:oasis:names:tc:ebxml-regrep:StatusType:Approved",)),
        ),
        return_type=ReturnType.LEAF_CLASS,
    )


def load(folder: Path, index: RecordIndex, store: ContentStore, **files: bytes) -> list[FileResult]:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    seen: list[FileResult] = []
    load_folder(folder, index, store, NOW, progress=seen.append)
    return seen


async def test_a_folder_becomes_one_patient_with_documents(
    tmp_path: Path, index: RecordIndex, store: ContentStore, source: LocalRecords
):
    data = cda(1)
    load(tmp_path / "in", index, store, a__xml=data, b__xml=cda(2, given="Anna"))
    (person,) = await source.match(asked())
    assert person.score >= 90
    assert person.patient_id.assigning_authority == "1.2.3.1"
    answer = await source.find(find(person.patient_id))
    assert {d.unique_id for d in answer.documents} == {"1.9.1", "1.9.2"}
    entry = next(d for d in answer.documents if d.unique_id == "1.9.1")
    assert entry.home_community_id == HOME
    assert entry.patient_id == person.patient_id
    assert entry.hash == sha1(data).hexdigest()
    assert entry.size == len(data)
    assert entry.creation_time == "20250601"
    assert entry.language == "en-US"
    assert entry.source_patient_info[0] == "PID-5|Lee^Ana"
    opened = await source.open(entry.ref)
    assert opened is not None
    assert b"".join([chunk async for chunk in opened.chunks]) == data
    assert store.path(sha256(data).hexdigest()).is_file()


async def test_a_large_document_comes_in_chunks(
    tmp_path: Path, index: RecordIndex, store: ContentStore, source: LocalRecords
):
    data = cda(1) + b" " * 1_000_000
    load(tmp_path / "in", index, store, a__xml=data)
    opened = await source.open(
        DocumentRef(
            home_community_id=HOME, repository_unique_id="1.2.3.9", document_unique_id="1.9.1"
        )
    )
    assert opened is not None
    sizes = [len(chunk) async for chunk in opened.chunks]
    assert sum(sizes) == len(data)
    assert max(sizes) <= 256 * 1024


@pytest.mark.parametrize(
    ("home", "repository", "unique"),
    [
        ("urn:oid:9.9", "1.2.3.9", "1.9.1"),
        (HOME, "1.2.3.8", "1.9.1"),
        (HOME, "1.2.3.9", "1.9.7"),
    ],
)
async def test_a_document_of_somebody_else_is_not_held(
    tmp_path: Path,
    index: RecordIndex,
    store: ContentStore,
    source: LocalRecords,
    home: str,
    repository: str,
    unique: str,
):
    load(tmp_path / "in", index, store, a__xml=cda(1))
    ref = DocumentRef(
        home_community_id=HomeCommunityId(home),
        repository_unique_id=repository,
        document_unique_id=unique,
    )
    assert await source.open(ref) is None
    assert await source.entry(ref) is None


def test_nothing_is_lost_a_bad_file_has_its_reason_and_the_rest_load(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    good = cda(1)
    results = load(
        tmp_path / "in",
        index,
        store,
        a__xml=good,
        b__xml=good,
        c__xml=b"<broken",
        d__txt=b"hello",
        e__json=b"{}",
        f__xml=b'<!DOCTYPE x [<!ENTITY e "x">]><x/>',
        g__xml=gzip.compress(cda(2)),
        h__xml=gzip.compress(cda(3))[:40],
        i__xml=b"",
    )
    assert [(r.path, r.fate, r.failure and r.failure.code) for r in results] == [
        ("a.xml", Fate.INDEXED, None),
        ("b.xml", Fate.DUPLICATE, None),
        ("c.xml", Fate.NOT_INDEXED, "xml-malformed"),
        ("d.txt", Fate.NOT_INDEXED, "file-type-unknown"),
        ("e.json", Fate.NOT_INDEXED, "fhir-not-a-bundle"),
        ("f.xml", Fate.NOT_INDEXED, "xml-doctype"),
        ("g.xml", Fate.INDEXED, None),
        ("h.xml", Fate.NOT_INDEXED, "file-compression-invalid"),
        ("i.xml", Fate.NOT_INDEXED, "xml-malformed"),
    ]
    assert [f.path for f in index.failures()] == [
        "c.xml",
        "d.txt",
        "e.json",
        "f.xml",
        "h.xml",
        "i.xml",
    ]
    assert all(f.sentence for f in index.failures())
    kept = {p.name for p in (tmp_path / "records").rglob("*") if p.is_file()}
    assert kept == {h.sha256 for h in index.documents()}


def test_a_mended_file_loses_its_failure_and_loading_again_changes_nothing(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    load(tmp_path / "in", index, store, a__xml=b"<broken")
    assert index.counts().failures == 1
    load(tmp_path / "in", index, store, a__xml=cda(1))
    assert index.counts().failures == 0
    before = index.counts()
    assert {r.fate for r in load(tmp_path / "in", index, store)} == {Fate.DUPLICATE}
    assert index.counts() == before


def test_a_file_over_the_limit_is_refused_while_it_is_read(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "bomb.xml.gz").write_bytes(gzip.compress(b" " * 2_000_000))
    report = load_folder(folder, index, store, NOW, limits=LoadLimits(max_bytes=100_000))
    assert [f.code for f in report.failures] == ["file-too-large"]
    assert not [p for p in (tmp_path / "records").rglob("*") if p.is_file()]


def test_links_are_not_followed(tmp_path: Path, index: RecordIndex, store: ContentStore):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.xml").write_bytes(cda(1))
    (folder / "link.xml").symlink_to(tmp_path / "secret.xml")
    os.mkfifo(folder / "pipe.xml")
    report = load_folder(folder, index, store, NOW)
    assert [f.code for f in report.failures] == ["file-type-unknown"] * 2


def test_a_missing_folder_and_too_many_files_are_errors(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    with pytest.raises(CodedError, match="records-folder-missing"):
        load_folder(tmp_path / "none", index, store, NOW)
    load(tmp_path / "in", index, store, a__xml=cda(1), b__xml=cda(2))
    with pytest.raises(CodedError, match="records-too-many-files"):
        load_folder(tmp_path / "in", index, store, NOW, limits=LoadLimits(max_files=1))


def test_one_id_for_two_contents_keeps_both_documents(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    other = cda(1, given="Ben", family="Moe", born="19511212", sex="M")
    load(tmp_path / "in", index, store, a__xml=cda(1), b__xml=other)
    held = index.documents()
    assert len({h.entry.unique_id for h in held}) == 2
    reused = next(h for h in held if h.entry.unique_id != "1.9.1")
    assert reused.entry.unique_id.startswith("2.25.")
    assert "document-id-reused" in reused.notes


def test_a_twin_and_a_namesake_are_other_people(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    home = (
        "<addr><streetAddressLine>1 Main St</streetAddressLine>"
        "<postalCode>97301</postalCode></addr>"
    )
    load(
        tmp_path / "in",
        index,
        store,
        a__xml=cda(1, extra=home),
        b__xml=cda(2, given="Beth", extra=home),
        c__xml=cda(3, born="19511212", extra=home),
    )
    assert index.counts().patients == 3


def test_two_people_whom_the_question_does_not_tell_apart_match_nobody(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    load(
        tmp_path / "in",
        index,
        store,
        a__xml=cda(1, ids=ssn("912-34-5678")),
        b__xml=cda(2, ids=ssn("957-11-2233")),
    )
    assert index.counts().patients == 2
    assert index.match(asked()) == []
    assert len(index.candidates(asked())) == 2
    number = PatientId(assigning_authority="2.16.840.1.113883.4.1", id="912345678")
    named = Demographics(names=asked().names, birth_date=asked().birth_date, identifiers=(number,))
    assert len(index.match(named)) == 1


def test_a_document_that_bridges_two_identities_joins_them_and_old_ids_stay_valid(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    def own(name: str) -> str:
        return f'<id root="1.5.{name}" extension="77"/>'

    first = cda(1, family="Lee", ids=own("1"), born="1980")
    second = cda(2, family="Moe", ids=own("2"), born="1980")
    load(tmp_path / "in", index, store, a__xml=first, b__xml=second)
    assert index.counts().patients == 2
    old = [index.patient_id(h.entry.patient_id.id) for h in index.documents() if h.entry.patient_id]
    load(tmp_path / "in", index, store, c__xml=cda(3, family="Lee-Moe", ids=own("1") + own("2")))
    assert index.counts().patients == 1
    (person,) = index.match(asked(family="Lee-Moe"))
    assert person.demographics.birth_date == "19800102"
    assert set(old) <= set(index.identifiers(person.patient_id))
    for patient_id in old:
        assert index.resolve(patient_id) == person.patient_id.id


def test_an_unknown_patient_has_nothing(index: RecordIndex):
    nobody = PatientId(assigning_authority="1.2.3.1", id="x")
    assert index.resolve(nobody) is None
    assert index.identifiers(nobody) == []
    assert index.demographics(nobody) is None
    assert index.match(Demographics()) == []


def test_our_own_id_alone_does_not_need_more_than_a_name(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    load(tmp_path / "in", index, store, a__xml=cda(1))
    (person,) = index.match(asked())
    query = Demographics(names=asked().names, identifiers=(person.patient_id,))
    assert [p.patient_id for p in index.match(query)] == [person.patient_id]


def plans(engine: Engine, index: RecordIndex, query: Demographics) -> list[str]:
    """How the database goes about every statement of the lookups."""
    statements: list[tuple[str, object]] = []

    def note(_c: object, _cur: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    index.candidates(query)  # by the engine, with the statements of a match
    person = PatientId(assigning_authority="1.2.3.1", id="p1")
    index.identifiers(person)
    index.held("1.9.1")
    event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        if explain == "EXPLAIN":  # the planner prefers a scan of a small table: ask if it need not
            cursor.execute("SET enable_seqscan = off")
        found: list[str] = []
        for statement, parameters in statements:
            if statement.lstrip().startswith("SELECT"):
                cursor.execute(f"{explain} {statement}", parameters)
                found += [str(row[-1]) for row in cursor.fetchall()]
        return found


@pytest.mark.parametrize("people", [1, 100])
def test_every_lookup_goes_through_an_index(engine: Engine, index: RecordIndex, people: int):
    index.add_patients(((f"p{n}", asked()) for n in range(people)), NOW)
    found = [p for p in plans(engine, index, asked()) if " records_" in p]
    assert len(found) > (3 if people == 1 else 8)  # many who share a key are read key by key
    assert not [p for p in found if p.startswith("SCAN") or "Seq Scan" in p]


def test_candidates_are_bounded_however_many_share_a_key(engine: Engine, index: RecordIndex):
    same = Demographics(names=(PersonName(family="Lee", given=("Zoe",)),), birth_date="19800102")
    index.add_patients(((f"p{n}", same) for n in range(400)), NOW)
    read: list[int] = []

    def note(_c: object, _cur: object, statement: str, parameters: object, *_: object) -> None:
        if "demographics" in statement:
            read.append(len(parameters))  # type: ignore[arg-type]

    event.listen(engine, "before_cursor_execute", note)
    assert index.candidates(same)
    assert index.match(same) == []
    assert read
    assert max(read) <= 300


async def test_a_match_on_the_loop_is_the_match_of_a_thread(
    engine: Engine, index: RecordIndex, source: LocalRecords
):
    """The way without a thread changes nothing but the time: nobody, one, several, too many."""
    one, twins = asked(family="Moe", born="19600606"), asked(family="Poe", born="19700707")
    crowd, nobody = asked(family="Lee"), asked(family="Zonk", born="19500505")
    index.add_patients((("one", one), ("twin-1", twins), ("twin-2", twins)), NOW)
    index.add_patients(((f"p{n}", crowd) for n in range(100)), NOW)
    assert [p.patient_id.id for p in index.match(one)] == ["one"]
    for demographics in (Demographics(), nobody, one, twins, crowd):
        expected = index.match(demographics)
        assert await source.match(demographics) == expected
        at_once = index.match_at_once(demographics)
        local = engine.dialect.name == "sqlite" and demographics != crowd
        assert at_once == (expected if local else None)


@pytest.fixture
def file_engine(tmp_path: Path) -> Iterator[Engine]:
    """A local file, whatever other database the tests run on: only that is read on the loop."""
    made = open_engine(f"sqlite:///{tmp_path / 'local.db'}")
    create_tables(made)
    yield made
    made.dispose()


def test_making_tables_that_are_there_changes_nothing(engine: Engine, index: RecordIndex):
    index.add_patients((("p1", asked()),), NOW)
    create_tables(engine)
    create_tables(engine)
    assert len(index.match(asked())) == 1


def test_a_match_on_the_loop_sees_what_was_just_written_and_outlives_its_connection(
    file_engine: Engine,
):
    index = RecordIndex(file_engine, COMMUNITY)
    assert (
        index.match_at_once(asked()) is None
    )  # opening a file may take its time: a thread does it
    assert index.match(asked()) == index.match_at_once(asked()) == []
    index.add_patients((("p1", asked()),), NOW)
    assert index.match_at_once(asked()) == index.match(asked()) != []
    file_engine.dispose()
    assert index.match_at_once(asked()) is None
    assert index.match(asked()) == index.match_at_once(asked())


def test_a_match_on_the_loop_does_not_wait_for_a_lock(file_engine: Engine):
    index = RecordIndex(file_engine, COMMUNITY)
    index.add_patients((("p1", asked()),), NOW)
    found = index.match(asked())
    with file_engine.execution_options(**{IMMEDIATE: True}).begin() as writing:
        writing.execute(text("DELETE FROM records_patient_key"))
        assert index.match_at_once(asked()) == found  # the state before the writer's commit
        writing.rollback()
    file_engine.dispose()
    with contextlib.closing(sqlite3.connect(str(file_engine.url.database))) as alone:
        alone.execute("PRAGMA locking_mode=EXCLUSIVE")
        alone.execute("BEGIN EXCLUSIVE")
        assert index.match_at_once(asked()) is None
        alone.rollback()
    assert index.match(asked()) == index.match_at_once(asked()) == found


def test_the_database_holds_no_naive_time_and_keys_are_short(engine: Engine, index: RecordIndex):
    long = PatientId(assigning_authority="1.2." + "3" * 50, id="x" * 200)
    index.add_patients((("p1", Demographics(names=asked().names, identifiers=(long,))),), NOW)
    with engine.connect() as connection:
        longest = connection.execute(text("SELECT max(length(key)) FROM records_patient_key"))
        assert longest.scalar_one() <= 128
    query = Demographics(names=asked().names, identifiers=(long,))
    assert len(index.match(query)) == 1


@pytest.mark.shared
def test_vendor_documents_of_one_test_patient_are_linked(
    shared_data: Path, index: RecordIndex, store: ContentStore
):
    folder = shared_data / "ccda" / "vendors-2015ed"
    report = load_folder(folder, index, store, NOW)
    assert (report.files, report.indexed, report.failures) == (70, 70, ())
    assert index.counts().patients < 35
    people = [h.entry.patient_id for h in index.documents(limit=1000)]
    assert max(people.count(p) for p in set(people)) >= 8


@pytest.mark.shared
def test_every_file_of_the_shared_documents_is_accounted_for(
    shared_data: Path, index: RecordIndex, store: ContentStore
):
    folder = shared_data / "ccda" / "misc"
    report = load_folder(folder, index, store, NOW)
    assert report.files == len(list(folder.iterdir()))
    assert report.indexed + report.duplicates + len(report.failures) == report.files
    assert len(report.failures) == 13
    assert index.counts().failures == 13


def test_a_bundle_brings_itself_and_the_files_inside_it(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    bundle = {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:oid:1.7", "value": "has white space"},
        "entry": [
            {
                "resource": {
                    "resourceType": "Patient",
                    "name": [{"family": "Lee", "given": ["Ana"]}],
                    "birthDate": "1980-01-02",
                    "gender": "female",
                }
            },
            {
                "resource": {
                    "resourceType": "DocumentReference",
                    "content": [
                        {
                            "attachment": {
                                "contentType": "text/xml",
                                "data": b64encode(cda(5, given="Anna")).decode(),
                            }
                        }
                    ],
                }
            },
        ],
    }
    (result,) = load(tmp_path / "in", index, store, a__json=dumps(bundle))
    assert (result.fate, result.documents, result.new_patients) == (Fate.INDEXED, 2, 1)
    held = {h.path: h for h in index.documents()}
    whole, inside = held["a.json"].entry, held["a.json#1"].entry
    assert whole.mime_type == "application/fhir+json"
    assert whole.unique_id.startswith("2.25.")
    assert inside.unique_id == "1.9.5"
    assert inside.hash == sha1(cda(5, given="Anna")).hexdigest()
    assert whole.patient_id == inside.patient_id


def test_the_notes_of_a_document_say_what_was_assumed(
    tmp_path: Path, index: RecordIndex, store: ContentStore
):
    load(tmp_path / "in", index, store, a__xml=cda(1))
    (held,) = index.documents()
    assert {"confidentiality-assumed", "language-assumed", "patient-id-missing"} <= set(held.notes)
    assert held.entry.source_patient_id == held.entry.patient_id
    assert held.entry.facility_type is not None
    assert held.entry.facility_type.code == "UNK"
