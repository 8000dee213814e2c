import gzip

import orjson
import pytest

from directory.errors import DirectoryError
from directory.finding import Finding
from directory.rows import FileLimits, Row, rows_of_bundle, rows_of_files, rows_of_lines

ORG = {"resourceType": "Organization", "id": "a", "name": "A"}
BUNDLE = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": ORG}, {}, 3]}


def codes(rows):
    return [row.code if isinstance(row, Finding) else row.resource["id"] for row in rows]


@pytest.mark.parametrize("kind", ["searchset", "collection", "transaction", "history"])
def test_a_bundle_of_any_type_gives_its_resources_and_names_empty_entries(kind):
    rows = list(rows_of_bundle({**BUNDLE, "type": kind}))
    assert codes(rows) == ["a", "no-resource", "no-resource"]
    assert [row.where for row in rows] == ["entry[0]", "entry[1]", "entry[2]"]


def test_a_single_resource_is_a_bundle_of_one():
    assert codes(rows_of_bundle(ORG)) == ["a"]


@pytest.mark.parametrize("document", [[], "x", {}, {"resourceType": "Bundle", "entry": {}}])
def test_what_is_not_fhir_is_refused(document):
    with pytest.raises(DirectoryError) as caught:
        list(rows_of_bundle(document))
    assert caught.value.code == "not-fhir"


def test_broken_lines_are_findings_in_their_place_and_the_rest_is_read():
    lines = [orjson.dumps(ORG) + b"\n", b"{broken\n", b"\n", b"[1]\n", orjson.dumps(BUNDLE)]
    rows = list(rows_of_lines(lines))
    assert codes(rows) == ["a", "not-json", "not-json", "a", "no-resource", "no-resource"]
    assert [r.where for r in rows][:4] == ["line 1", "line 2", "line 4", "line 5 entry[0]"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("indented", [False, True])
def test_files_are_told_apart_by_content(tmp_path, packed, indented):
    data = orjson.dumps(BUNDLE, option=orjson.OPT_INDENT_2 if indented else None)
    path = tmp_path / "directory"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert codes(rows_of_files(path))[0] == "a"


def test_several_files_are_one_stream_that_names_the_file(tmp_path):
    one, two = tmp_path / "one.ndjson", tmp_path / "two.json"
    one.write_bytes(orjson.dumps(ORG) + b"\n" + orjson.dumps({**ORG, "id": "b"}))
    two.write_bytes(orjson.dumps({**ORG, "id": "c"}, option=orjson.OPT_INDENT_2))
    rows = list(rows_of_files(one, two))
    assert codes(rows) == ["a", "b", "c"]
    assert rows[1].where == "one.ndjson line 2"


def test_a_line_past_the_limit_is_a_finding_and_is_never_held(tmp_path):
    path = tmp_path / "long.ndjson"
    path.write_bytes(orjson.dumps(ORG) + b"\n" + b"x" * 5000 + b"\n" + orjson.dumps(ORG))
    rows = list(rows_of_files(path, limits=FileLimits(line=1000)))
    assert codes(rows) == ["a", "line-too-long", "a"]


def test_a_bundle_past_the_limit_is_refused(tmp_path):
    path = tmp_path / "big.json"
    path.write_bytes(orjson.dumps(BUNDLE, option=orjson.OPT_INDENT_2))
    with pytest.raises(DirectoryError) as caught:
        list(rows_of_files(path, limits=FileLimits(bundle=50)))
    assert caught.value.code == "file-too-large"


def test_a_stream_past_the_total_is_refused(tmp_path):
    path = tmp_path / "bomb.ndjson.gz"
    path.write_bytes(gzip.compress((orjson.dumps(ORG) + b"\n") * 100))
    with pytest.raises(DirectoryError) as caught:
        list(rows_of_files(path, limits=FileLimits(total=500)))
    assert caught.value.code == "file-too-large"


@pytest.mark.parametrize("content", [b"", b"<html>", b"{\n"])
def test_a_file_without_json_is_refused(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(DirectoryError) as caught:
        list(rows_of_files(path))
    assert caught.value.code == "not-fhir"


def test_a_cut_gzip_file_and_a_missing_file_are_unreadable(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(orjson.dumps(ORG) * 100)[:-20])
    for file in (path, tmp_path / "missing"):
        with pytest.raises(DirectoryError) as caught:
            list(rows_of_files(file))
        assert caught.value.code == "file-unreadable"


def test_rows_keep_the_resource():
    (row,) = rows_of_bundle(ORG)
    assert isinstance(row, Row)
    assert row.resource == ORG
