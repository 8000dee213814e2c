"""Load a folder of documents: every file ends as indexed, duplicate, or not indexed with a reason.

CDA documents (``.xml`` and whatever else starts like XML) and FHIR R4 Bundles (JSON), plain or
gzipped, of any vendor, in any sub-folder. Files are copied into the content store, so the folder
may go away. A bad file costs its own line in ``records list``, never the rest of the folder.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from node.errors import CodedError, LimitError, OurFault, SettingsError, WireError
from node.records.entries import Content
from node.records.fhir.loader import FhirLoader
from node.records.index import Added, Failure, NewDocument, RecordIndex
from node.records.store import CHUNK, ContentStore, Stored
from node.wire.cda import read_document
from node.wire.document_facts import DocumentFacts
from node.wire.fhir_bundle import MIME_TYPE, read_bundle

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_HEAD = 512
_MAX_PATH = 1024
# a bundle that is about no person, or about several, is no document but has resources all the same
_NO_DOCUMENT = frozenset({"fhir-patient-missing", "fhir-patient-several", "fhir-patient-unusable"})
_ID_TAKEN = "Another patient's resource has this type and id already; it was not touched."


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLimits:
    """What one run of the loader may cost.

    ``max_bytes`` is per file, after decompression; ``batch`` is files per transaction, few because
    the ledger of a running node waits for it on SQLite. ``left_out`` is how many entries of a
    bundle are listed that cannot be served.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_files: int = 1_000_000
    max_depth: int = 32
    batch: int = 20
    left_out: int = 100


class Fate(StrEnum):
    """What became of a file."""

    INDEXED = "indexed"
    DUPLICATE = "duplicate"
    NOT_INDEXED = "not indexed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """One file of the folder: its path in it, its fate, and the reason where it failed.

    ``documents`` counts what the file brought: a bundle brings itself and the files inside it.
    ``resources`` counts the FHIR resources that are new, ``left_out`` says which of its entries
    are not served and why.
    """

    path: str
    fate: Fate
    documents: int = 0
    new_patients: int = 0
    resources: int = 0
    left_out: tuple[Failure, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """Sums of one run. ``failures`` are all of them, in order."""

    files: int = 0
    indexed: int = 0
    duplicates: int = 0
    documents: int = 0
    new_patients: int = 0
    resources: int = 0
    failures: tuple[Failure, ...] = ()


def load_folder(
    folder: Path,
    index: RecordIndex,
    store: ContentStore,
    now: datetime,
    *,
    fhir: FhirLoader | None = None,
    limits: LoadLimits | None = None,
    progress: Callable[[FileResult], None] | None = None,
) -> LoadReport:
    """Index every file of a folder and its sub-folders, in the order of their names.

    Args:
        folder: where the files are.
        index: the index to add to.
        store: where contents are kept.
        now: when this happens; it dates the index rows, never a document.
        fhir: indexes the resources of bundles and makes those of documents, where FHIR is served.
        limits: what the run may cost.
        progress: called for each file when its transaction is done.

    Raises:
        SettingsError: ``records-folder-missing`` when there is no such folder.
        LimitError: ``records-too-many-files`` past the limit; nothing has been indexed then.
    """
    bounds = limits or LoadLimits()
    if not folder.is_dir():
        what = "is no folder, but a file" if folder.exists() else "does not exist"
        raise SettingsError("records-folder-missing", f"The folder of records {what}: {folder}")
    paths = list(_files(folder, bounds))
    report = LoadReport()
    for start in range(0, len(paths), bounds.batch):
        some = paths[start : start + bounds.batch]
        read, results = _read_all(folder, some, store, bounds, serves_fhir=fhir is not None)
        results += _indexed(read, index, now, fhir, bounds)
        index.fail([f for r in results for f in (r.failure, *r.left_out) if f is not None], now)
        for result in sorted(results, key=lambda r: r.path):
            report = _counted(report, result)
            if progress is not None:
                progress(result)
    return report


def _files(folder: Path, limits: LoadLimits) -> Iterator[Path]:
    """Regular files and links below a folder, hidden ones left out; links are not followed."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        depth = len(Path(parent).relative_to(folder).parts)
        folders[:] = [f for f in folders if not f.startswith(".") and depth < limits.max_depth]
        found.extend(Path(parent) / name for name in names if not name.startswith("."))
        if len(found) > limits.max_files:
            raise LimitError(
                "records-too-many-files", f"The folder has more than {limits.max_files} files."
            )
    yield from sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file that could be read: its documents, the file itself first.

    ``bundle`` is the name in the store of a FHIR bundle. One about no person, or about several, is
    no document: it brings resources alone.
    """

    path: str
    documents: tuple[NewDocument, ...]
    bundle: str | None = None


def _read_all(
    folder: Path,
    paths: Iterable[Path],
    store: ContentStore,
    limits: LoadLimits,
    *,
    serves_fhir: bool,
) -> tuple[list[_Read], list[FileResult]]:
    """Read files; those that cannot be read become results at once."""
    read: list[_Read] = []
    failed: list[FileResult] = []
    for path in paths:
        name = _shown(path, folder)
        try:
            read.append(_read(path, name, store, limits, serves_fhir=serves_fhir))
        except CodedError as error:
            failed.append(_failed(path, name, error))
        except OSError as error:
            fault = OurFault("file-unreadable", "The file cannot be read.", detail=str(error.errno))
            failed.append(_failed(path, name, fault))
    return read, failed


def _indexed(
    read: list[_Read],
    index: RecordIndex,
    now: datetime,
    fhir: FhirLoader | None,
    limits: LoadLimits,
) -> list[FileResult]:
    """Index what was read: the documents in one transaction, each file's resources in another."""
    added = iter(index.add([document for file in read for document in file.documents], now))
    results: list[FileResult] = []
    for file in read:
        of_file = [next(added) for _ in file.documents]
        new = [a for a in of_file if not a.duplicate]
        resources, left_out = _resources(file, of_file, fhir, now, limits)
        results.append(
            FileResult(
                path=file.path,
                # what is about nobody, such as an Organization, may be newer in every bundle
                fate=Fate.INDEXED if new or (resources and not of_file) else Fate.DUPLICATE,
                documents=len(new),
                new_patients=sum(a.new_patient for a in new),
                resources=resources,
                left_out=left_out,
            )
        )
    return results


def _resources(
    file: _Read,
    documents: Sequence[Added],
    fhir: FhirLoader | None,
    now: datetime,
    limits: LoadLimits,
) -> tuple[int, tuple[Failure, ...]]:
    """How many resources a file brought, and why some of its entries bring none."""
    if fhir is None:
        return 0, ()
    people = [a.entry.patient_id.id for a in documents if a.entry.patient_id is not None]
    if file.bundle is None:
        fhir.make_documents(dict.fromkeys(people), now)
        return 0, ()
    loaded = fhir.load_bundle(
        file.bundle, now, local_id=people[0] if people else None, max_bytes=limits.max_bytes
    )
    left_out = [
        Failure(
            path=f"{file.path}#{each.place}", code="fhir-entry-unusable", sentence=each.sentence
        )
        for each in loaded.left_out[: limits.left_out]
    ]
    left_out += [
        Failure(path=f"{file.path}#{name}", code="fhir-id-taken", sentence=_ID_TAKEN)
        for name in loaded.indexed.refused[: limits.left_out]
    ]
    return loaded.indexed.new + loaded.indexed.replaced, tuple(left_out)


def _shown(path: Path, folder: Path) -> str:
    """A file's path in the folder as text that any database takes, at most 1024 characters."""
    name = path.relative_to(folder).as_posix()
    return name.encode("utf-8", "backslashreplace").decode()[:_MAX_PATH]


def _failed(path: Path, name: str, error: CodedError) -> FileResult:
    try:
        size = path.lstat().st_size
    except OSError:
        size = 0
    failure = Failure(
        path=name, code=error.code, sentence=error.sentence, place=error.where, size=size
    )
    return FileResult(path=name, fate=Fate.NOT_INDEXED, failure=failure)


def _read(
    path: Path, name: str, store: ContentStore, limits: LoadLimits, *, serves_fhir: bool
) -> _Read:
    """Store one file and read what it says.

    What cannot be indexed is taken out of the store again, unless something else put it there.
    """
    if path.is_symlink() or not path.is_file():
        raise WireError("file-type-unknown", "The entry is a link or a device, not a file.")
    stored = _stored(path, store, limits)
    content = stored.content
    try:
        documents = tuple(_documents(store.read(content.sha256), content, name, store, limits))
        is_bundle = documents[0].facts.mime_type == MIME_TYPE
        return _Read(path=name, documents=documents, bundle=content.sha256 if is_bundle else None)
    except CodedError as error:
        if serves_fhir and error.code in _NO_DOCUMENT:
            return _Read(path=name, documents=(), bundle=content.sha256)
        if not stored.before:
            store.remove(content.sha256)
        raise


def _stored(path: Path, store: ContentStore, limits: LoadLimits) -> Stored:
    with path.open("rb") as stream:
        zipped = stream.read(2) == _GZIP
        stream.seek(0)
        try:
            if not zipped:
                return store.put(_chunks(stream), max_bytes=limits.max_bytes)
            with gzip.GzipFile(fileobj=stream) as unzipped:
                return store.put(_chunks(unzipped), max_bytes=limits.max_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise WireError("file-compression-invalid", "The gzip file is damaged.") from None


def _chunks(stream: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _documents(
    data: bytes, content: Content, name: str, store: ContentStore, limits: LoadLimits
) -> Iterator[NewDocument]:
    facts, attachments = _facts(data)
    yield NewDocument(facts=facts, content=content, path=name)
    for number, (attached, file) in enumerate(attachments, start=1):
        stored = store.put([file], max_bytes=limits.max_bytes).content
        yield NewDocument(facts=attached, content=stored, path=f"{name}#{number}")


def _facts(data: bytes) -> tuple[DocumentFacts, list[tuple[DocumentFacts, bytes]]]:
    start = data[:_HEAD].lstrip()
    if start[:1] in (b"{", b"["):
        bundle = read_bundle(data)
        return bundle.facts, [(a.facts, a.content) for a in bundle.attachments]
    if not start or b"<" in start[:2] or data.startswith(_BYTE_ORDER_MARKS):
        return read_document(data), []
    raise WireError("file-type-unknown", "The file is neither XML nor JSON.")


def _counted(report: LoadReport, result: FileResult) -> LoadReport:
    return replace(
        report,
        files=report.files + 1,
        indexed=report.indexed + (result.fate is Fate.INDEXED),
        duplicates=report.duplicates + (result.fate is Fate.DUPLICATE),
        documents=report.documents + result.documents,
        new_patients=report.new_patients + result.new_patients,
        resources=report.resources + result.resources,
        failures=(
            *report.failures,
            *((result.failure,) if result.failure else ()),
            *result.left_out,
        ),
    )
