"""zeep, which shares no code with ours, drives the running gateway from the WSDL it serves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import requests
import zeep
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from soap_world import AUTHORITY, REPOSITORY, running
from tls_network import network_ca
from zeep.plugins import Plugin
from zeep.transports import Transport

from node.model import Transaction
from node.peers.assertion import AssertionIssuer

FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"


class Signs(Plugin):
    """Puts our Security header and an anonymous ReplyTo into zeep's envelope."""

    def __init__(self, world, transaction: Transaction):
        self.world, self.transaction = world, transaction

    def egress(self, envelope, http_headers, operation, binding_options):
        header = AssertionIssuer(signer=self.world.them.signer).sign(
            self.world.call(),
            audience=self.world.url(self.transaction),
            ids=(self.world.clock.new_id(), self.world.clock.new_id()),
            now=self.world.clock.now(),
        )
        envelope.find("{*}Header").append(etree.fromstring(header.octets))
        return envelope, http_headers


@pytest.fixture(scope="session")
def root_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("root") / "root.pem"
    path.write_bytes(network_ca().certificate.public_bytes(Encoding.PEM))
    return path


def client_of(world, transaction: Transaction, root_file: Path, pem: Path) -> zeep.Client:
    session = requests.Session()
    session.cert, session.verify, session.trust_env = str(pem), str(root_file), False
    return zeep.Client(
        world.url(transaction) + "?wsdl",
        transport=Transport(session=session, timeout=10, operation_timeout=10),
        plugins=[Signs(world, transaction)],
    )


def query(world, root_file, pem):
    client = client_of(world, Transaction.ITI_38, root_file, pem)
    option = {"returnComposedObjects": True, "returnType": "LeafClass"}
    with client.settings(strict=False):
        return client.service.RespondingGateway_CrossGatewayQuery(
            ResponseOption=option,
            AdhocQuery={
                "id": FIND_DOCUMENTS,
                "Slot": [
                    {
                        "name": "$XDSDocumentEntryPatientId",
                        "ValueList": {"Value": [f"'alice-1^^^&{AUTHORITY}&ISO'"]},
                    }
                ],
            },
        )


def retrieve(world, root_file, pem):
    client = client_of(world, Transaction.ITI_39, root_file, pem)
    with client.settings(strict=False):
        return client.service.RespondingGateway_CrossGatewayRetrieve(
            DocumentRequest=[
                {
                    "HomeCommunityId": "urn:oid:1.3.6.1.4.1.99999.1",
                    "RepositoryUniqueId": REPOSITORY,
                    "DocumentUniqueId": "1.2.3.1",
                }
            ]
        )


async def test_zeep_finds_the_service_and_queries(us, them, root_file, identity_folder):
    async with running(us, them, documents=[("1.2.3.1", 40)]) as world:
        answer = await asyncio.to_thread(
            query, world, root_file, identity_folder / "them.example.pem"
        )
    assert "Success" in str(answer)
    assert world.responding.reasons == []
    assert len(world.responding.entries) == 1


async def test_zeep_retrieves_a_document_as_mtom(us, them, root_file, identity_folder):
    async with running(us, them, documents=[("1.2.3.1", 40)]) as world:
        answer = await asyncio.to_thread(
            retrieve, world, root_file, identity_folder / "them.example.pem"
        )
    assert "Success" in str(answer)
    assert len(world.responding.entries) == 1


@pytest.mark.parametrize("transaction", list(Transaction))
async def test_every_wsdl_and_its_schemas_are_served_with_the_real_address(
    us, them, root_file, identity_folder, transaction
):
    async with running(us, them) as world:
        client = await asyncio.to_thread(
            client_of, world, transaction, root_file, identity_folder / "them.example.pem"
        )
        (service,) = client.wsdl.services.values()
        (port,) = service.ports.values()
    assert port.binding_options["address"] == world.url(transaction)
