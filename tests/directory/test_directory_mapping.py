import pytest

from directory.errors import DirectoryError
from directory.mapping import community_mapping, meaning

TRANSACTIONS = "https://sequoiaproject.org/fhir/sphd/CodeSystem/TransactionCodes"
MCSD = "https://profiles.ihe.net/ITI/mCSD/CodeSystem/MCSDEndpointTypes"


@pytest.mark.parametrize("spelling", ["XCPD", "XCPD Query", "XCPD ITI-55"])
def test_every_seen_spelling_of_patient_discovery_means_iti_55(spelling):
    assert meaning(community_mapping().transactions, TRANSACTIONS, spelling) == ("ITI-55",)


def test_the_three_communities_name_document_query():
    codes = community_mapping().transactions
    assert meaning(codes, TRANSACTIONS, "XCA Query") == ("ITI-38",)
    assert meaning(codes, TRANSACTIONS, "XCA ITI-38") == ("ITI-38",)
    assert meaning(codes, MCSD, "XCA-RespGateway-Query") == ("ITI-38",)


def test_an_initiating_gateway_type_is_known_but_serves_nothing():
    assert meaning(community_mapping().transactions, MCSD, "XCA-InitGateway-Query") == ()


def test_seventeen_exchange_purposes_are_known():
    system = "urn:oid:2.16.840.1.113883.3.7204.1.5.2.1"
    assert len([1 for known, _ in community_mapping().purposes if known == system]) == 17


def test_an_operators_file_wins_over_the_built_in_rows(tmp_path):
    file = tmp_path / "community.toml"
    file.write_text(
        '[[transactions]]\nsystems = ["*"]\ncodes = { "Doc Query" = "ITI-38" }\n'
        f'[[transactions]]\nsystems = ["{TRANSACTIONS}"]\ncodes = {{ XCPD = "ITI-56" }}\n'
        '[options]\nendpoint_without_purposes = "organization"\n'
    )
    mapping = community_mapping(file)
    assert meaning(mapping.transactions, "urn:any", "Doc Query") == ("ITI-38",)
    assert meaning(mapping.transactions, TRANSACTIONS, "XCPD") == ("ITI-56",)
    assert mapping.purposes_of_organization
    assert not community_mapping().purposes_of_organization


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[unknown]\n",
        "[options]\ncolour = 1\n",
        '[options]\nendpoint_without_purposes = "maybe"\n',
        '[[extensions]]\nmeans = "x"\nurls = []\n',
        '[[identifiers]]\nmeans = "npi"\n',
        '[[identifiers]]\nmeans = "npi"\nsystem = "x"\ncolour = "red"\n',
        '[[types]]\nsystems = "x"\ncodes = ["y"]\n',
        "[[types]]\ncodes = 3\nsystems = []\n",
    ],
)
def test_a_wrong_mapping_file_is_refused_as_a_whole(tmp_path, text):
    file = tmp_path / "community.toml"
    file.write_text(text)
    with pytest.raises(DirectoryError) as caught:
        community_mapping(file)
    assert caught.value.code == "mapping-invalid"


def test_a_missing_mapping_file_is_refused(tmp_path):
    with pytest.raises(DirectoryError, match="cannot be read"):
        community_mapping(tmp_path / "none.toml")
