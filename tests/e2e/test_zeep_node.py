"""zeep, which shares no code with ours, drives the running node from the WSDL it serves."""

from __future__ import annotations

import pytest
import requests
import zeep
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from messages import discovery, header
from node_network import Site
from sample_world import ORIGINALS
from zeep.plugins import Plugin
from zeep.transports import Transport

from node.identity import Role, identity_files, network_anchors
from node.model import Transaction

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("clinic")]

FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"
UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
V3 = "urn:hl7-org:v3"


class Signs(Plugin):
    """Puts a Security header of ``by`` into zeep's envelope."""

    def __init__(self, by: Site, to: Site, transaction: Transaction):
        self.by, self.to, self.transaction = by, to, transaction

    def egress(self, envelope, http_headers, operation, binding_options):
        signed = header(self.by, self.to, self.transaction)
        envelope.find("{*}Header").append(etree.fromstring(signed.octets))
        return envelope, http_headers


@pytest.fixture
def client_of(world, tmp_path):
    root = tmp_path / "root.pem"
    root.write_bytes(
        b"".join(
            a.certificate.public_bytes(Encoding.PEM) for a in network_anchors(world.asker.home)
        )
    )
    files = identity_files(world.asker.home, Role.CLIENT)
    opened = []

    def make(transaction: Transaction) -> zeep.Client:
        session = requests.Session()
        session.cert, session.verify = (str(files.certificate), str(files.key)), str(root)
        session.trust_env = False
        opened.append(session)
        return zeep.Client(
            world.clinic.url(transaction) + "?wsdl",
            transport=Transport(session=session, timeout=20, operation_timeout=20),
            plugins=[Signs(world.asker, world.clinic, transaction)],
        )

    yield make
    for session in opened:
        session.close()


def discovered(client: zeep.Client, world) -> tuple[str, str]:
    """The person's identifier, out of the answer that zeep parsed."""
    body = etree.fromstring(discovery(world.asker))
    with client.settings(strict=False):
        answer = client.service.RespondingGateway_PRPA_IN201305UV02(
            ITSVersion="XML_1.0", _value_1=list(body)
        )
    process = next(e for e in answer["_value_1"] if e.tag == f"{{{V3}}}controlActProcess")
    (code,) = process.iterfind("{*}queryAck/{*}queryResponseCode")
    assert code.get("code") == "OK"
    (identity,) = process.iterfind("{*}subject/{*}registrationEvent/{*}subject1/{*}patient/{*}id")
    return identity.get("root"), identity.get("extension")


def listed(client: zeep.Client, authority: str, number: str) -> list[dict[str, etree._Element]]:
    """Repository and unique id of every document, out of the answer that zeep parsed."""
    slots = {
        "$XDSDocumentEntryPatientId": [f"'{number}^^^&{authority}&ISO'"],
        "$XDSDocumentEntryStatus": ["('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')"],
    }
    with client.settings(strict=False):
        answer = client.service.RespondingGateway_CrossGatewayQuery(
            ResponseOption={"returnComposedObjects": True, "returnType": "LeafClass"},
            AdhocQuery={
                "id": FIND_DOCUMENTS,
                "Slot": [
                    {"name": name, "ValueList": {"Value": values}} for name, values in slots.items()
                ],
            },
        )
    assert answer["status"].endswith(":Success")
    return [
        {
            "document": entry.find(f"{{*}}ExternalIdentifier[@identificationScheme='{UNIQUE_ID}']"),
            "repository": entry.find("{*}Slot[@name='repositoryUniqueId']/{*}ValueList/{*}Value"),
        }
        for entry in answer["RegistryObjectList"]["_value_1"]
    ]


def test_zeep_goes_all_the_way_to_the_documents(world, client_of):
    authority, number = discovered(client_of(Transaction.ITI_55), world)
    entries = listed(client_of(Transaction.ITI_38), authority, number)
    client = client_of(Transaction.ITI_39)
    with client.settings(strict=False):
        answer = client.service.RespondingGateway_CrossGatewayRetrieve(
            DocumentRequest=[
                {
                    "HomeCommunityId": world.clinic.hcid,
                    "RepositoryUniqueId": entry["repository"].text,
                    "DocumentUniqueId": entry["document"].get("value"),
                }
                for entry in entries
            ]
        )
    assert answer["RegistryResponse"]["status"].endswith(":Success")
    came = {d["DocumentUniqueId"]: d["Document"] for d in answer["DocumentResponse"]}
    assert came.keys() == {"2.999.91.1", "2.999.91.2"}
    # zeep takes white space from the end of an attachment; our own client's bytes are all there
    assert came["2.999.91.1"].rstrip() == ORIGINALS["first.xml"].rstrip()
    assert came["2.999.91.2"].rstrip() == ORIGINALS["second.xml"].rstrip()
    asked = [e.fields["txn"] for e in world.clinic.ledger()[-3:]]
    assert asked == ["ITI-55", "ITI-38", "ITI-39"]


def test_a_fault_reaches_zeep_as_a_fault(world, client_of):
    client = client_of(Transaction.ITI_38)
    client.plugins.clear()  # nobody signs
    with client.settings(strict=False), pytest.raises(zeep.exceptions.Fault) as caught:
        client.service.RespondingGateway_CrossGatewayQuery(
            ResponseOption={"returnType": "LeafClass"}, AdhocQuery={"id": FIND_DOCUMENTS}
        )
    assert caught.value.code.endswith("Sender")
