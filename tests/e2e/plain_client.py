"""A gRPC client that has nothing of this project but stubs made from the .proto (run by a test).

Arguments: address, folder with key.pem, chain.pem and anchors.pem, home community id, folder for
the documents, and the person as JSON. Prints what it saw as JSON.
"""

import json
import sys
from pathlib import Path

import exchange_pb2 as pb
import exchange_pb2_grpc as pb_grpc
import grpc


def main(address: str, identity: str, hcid: str, out: str, person: str) -> None:
    files = Path(identity)
    credentials = grpc.ssl_channel_credentials(
        (files / "anchors.pem").read_bytes(),
        (files / "key.pem").read_bytes(),
        (files / "chain.pem").read_bytes(),
    )
    who = pb.Principal(subject_id="Dr Plain", user_id="plain@ehr.example", purpose="T-TRTMNT")
    seen = {"kinds": [], "largest": 0, "chunks": {}}
    with grpc.secure_channel(address, credentials) as channel:
        stub = pb_grpc.ExchangeStub(channel)
        known = []
        request = pb.FindPatientsRequest(principal=who, targets=[hcid])
        request.demographics.CopyFrom(pb.Demographics(**json.loads(person)))
        for event in stub.FindPatients(request, timeout=30):
            seen["kinds"].append(event.WhichOneof("kind"))
            for match in event.ended.matches:
                known.append(
                    pb.KnownPatient(
                        home_community_id=match.home_community_id, patient_id=match.patient_id
                    )
                )
        refs = []
        request = pb.FindDocumentsRequest(principal=who, patients=known)
        for event in stub.FindDocuments(request, timeout=30):
            seen["kinds"].append(event.WhichOneof("kind"))
            refs.extend(document.ref for document in event.ended.documents)
        request = pb.RetrieveRequest(principal=who, documents=refs)
        for event in stub.Retrieve(request, timeout=30):
            kind = event.WhichOneof("kind")
            seen["kinds"].append(kind)
            if kind == "chunk":
                take(event.chunk, Path(out), seen)
    sys.stdout.write(json.dumps(seen))


def take(chunk, out: Path, seen) -> None:
    name = chunk.ref.document_unique_id
    path = out / name
    assert chunk.offset == (path.stat().st_size if path.exists() else 0)
    with path.open("ab") as stream:
        stream.write(chunk.data)
    seen["largest"] = max(seen["largest"], len(chunk.data))
    seen["chunks"].setdefault(name, []).append(chunk.last)


main(*sys.argv[1:])
