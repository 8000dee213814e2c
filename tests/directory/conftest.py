"""Fixtures and builders of the directory's tests."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, event

from directory.store import DirectoryStore
from directory.tables import create_tables


@pytest.fixture
def now():
    return datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def directory_engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'directory.db'}")

    @event.listens_for(engine, "connect")
    def forget_durability(connection, record):
        connection.execute("PRAGMA synchronous=OFF")

    create_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(directory_engine):
    return DirectoryStore(directory_engine)


class Sphd:
    """Builders of resources in the RCE form."""

    base = "https://sequoiaproject.org/fhir/sphd/"
    xp = "urn:oid:2.16.840.1.113883.3.7204.1.5.2.1"

    def extension(self, name, **value):
        return {"url": f"{self.base}StructureDefinition/{name}", **value}

    def concept(self, system, code):
        return {"coding": [{"system": system, "code": code}]}

    def purpose(self, code, system=None):
        value = self.concept(system or self.xp, code)
        return self.extension("PurposesOfUse", valueCodeableConcept=value)

    def transaction(self, code):
        value = self.concept(f"{self.base}CodeSystem/TransactionCodes", code)
        return self.extension("Transaction", valueCodeableConcept=value)

    def identifier(self, kind, value):
        system = f"{self.base}CodeSystem/SequoiaIdentifierCodes"
        return {
            "type": self.concept(system, kind),
            "system": "urn:ietf:rfc:3986",
            "value": value,
        }

    def endpoint(self, identity, transaction=None, *, connection="ihe-xca", **more):
        system = f"{self.base}CodeSystem/EndpointConnectionTypeCodes"
        extensions = [self.transaction(transaction)] if transaction else []
        extensions += [self.purpose(code) for code in more.pop("purposes", ("T-TRTMNT",))]
        return {
            "resourceType": "Endpoint",
            "id": identity,
            "extension": extensions,
            "status": "active",
            "connectionType": {"system": system, "code": connection},
            "address": f"https://gw.{identity}.example/xca",
            **more,
        }

    def organization(self, identity, *, endpoints=(), purposes=("T-TRTMNT",), **more):
        hcid = more.pop("hcid", f"urn:oid:2.999.{zlib.crc32(identity.encode())}")
        npi = more.pop("npi", "1234567893")
        level = more.pop("level", "Participant")
        identifiers = [self.identifier("HCID", hcid)] if hcid else []
        identifiers += [{"system": "http://hl7.org/fhir/sid/us-npi", "value": npi}] if npi else []
        kinds = [self.concept(f"{self.base}CodeSystem/OrganizationType", level)] if level else []
        return {
            "resourceType": "Organization",
            "id": identity,
            "extension": [self.purpose(code) for code in purposes] + more.pop("extensions", []),
            "identifier": identifiers + more.pop("identifiers", []),
            "active": True,
            "type": kinds,
            "name": f"Hospital {identity}",
            "contained": list(endpoints),
            "endpoint": [{"reference": f"#{e['id']}"} for e in endpoints],
            **more,
        }

    def bundle(self, *resources):
        entries = [{"resource": resource} for resource in resources]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}


@pytest.fixture(scope="session")
def sphd():
    return Sphd()
