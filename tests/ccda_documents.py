"""The C-CDA documents of the shared test data, whatever they are packed in."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

NOT_WHOLE = ("hl7_section_entry_examples.tar.gz", "ccda_to_fhir_pairs.tar.gz")
"""Archives that hold parts of documents, and other files, beside whole documents."""


def files(shared: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file below ccda/."""
    root = shared / "ccda"
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = str(path.relative_to(root))
        if name.endswith(".tar.gz"):
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile():
                        file = archive.extractfile(member)
                        assert file is not None
                        yield f"{name}!{member.name}", file.read()
        elif name.endswith(".gz"):
            yield name, gzip.decompress(path.read_bytes())
        elif name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                for inner in packed.namelist():
                    yield f"{name}!{inner}", packed.read(inner)
        else:
            yield name, path.read_bytes()


def well_formed(data: bytes) -> etree._Element | None:
    """The root of a well-formed CDA document by a parser that is not the product's."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        return None
    return root if etree.QName(root).localname == "ClinicalDocument" else None
