import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_OK: _ClassVar[Outcome]
    OUTCOME_OK_EMPTY: _ClassVar[Outcome]
    OUTCOME_PARTIAL: _ClassVar[Outcome]
    OUTCOME_DECLINED: _ClassVar[Outcome]
    OUTCOME_FAILED: _ClassVar[Outcome]
    OUTCOME_TIMED_OUT: _ClassVar[Outcome]
    OUTCOME_CANCELLED: _ClassVar[Outcome]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_OK: Outcome
OUTCOME_OK_EMPTY: Outcome
OUTCOME_PARTIAL: Outcome
OUTCOME_DECLINED: Outcome
OUTCOME_FAILED: Outcome
OUTCOME_TIMED_OUT: Outcome
OUTCOME_CANCELLED: Outcome

class Principal(_message.Message):
    __slots__ = ("subject_id", "user_id", "role", "purpose", "npi", "id_token")
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    NPI_FIELD_NUMBER: _ClassVar[int]
    ID_TOKEN_FIELD_NUMBER: _ClassVar[int]
    subject_id: str
    user_id: str
    role: Code
    purpose: str
    npi: str
    id_token: str
    def __init__(self, subject_id: _Optional[str] = ..., user_id: _Optional[str] = ..., role: _Optional[_Union[Code, _Mapping]] = ..., purpose: _Optional[str] = ..., npi: _Optional[str] = ..., id_token: _Optional[str] = ...) -> None: ...

class Code(_message.Message):
    __slots__ = ("code", "scheme", "display")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    code: str
    scheme: str
    display: str
    def __init__(self, code: _Optional[str] = ..., scheme: _Optional[str] = ..., display: _Optional[str] = ...) -> None: ...

class PersonName(_message.Message):
    __slots__ = ("family", "given", "prefix", "suffix")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    GIVEN_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    family: str
    given: _containers.RepeatedScalarFieldContainer[str]
    prefix: str
    suffix: str
    def __init__(self, family: _Optional[str] = ..., given: _Optional[_Iterable[str]] = ..., prefix: _Optional[str] = ..., suffix: _Optional[str] = ...) -> None: ...

class Address(_message.Message):
    __slots__ = ("lines", "city", "state", "postal_code", "country")
    LINES_FIELD_NUMBER: _ClassVar[int]
    CITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedScalarFieldContainer[str]
    city: str
    state: str
    postal_code: str
    country: str
    def __init__(self, lines: _Optional[_Iterable[str]] = ..., city: _Optional[str] = ..., state: _Optional[str] = ..., postal_code: _Optional[str] = ..., country: _Optional[str] = ...) -> None: ...

class PatientId(_message.Message):
    __slots__ = ("assigning_authority", "id")
    ASSIGNING_AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    assigning_authority: str
    id: str
    def __init__(self, assigning_authority: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class Demographics(_message.Message):
    __slots__ = ("names", "birth_date", "sex", "addresses", "telecoms", "identifiers", "mothers_maiden_name")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    BIRTH_DATE_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    TELECOMS_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    MOTHERS_MAIDEN_NAME_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedCompositeFieldContainer[PersonName]
    birth_date: str
    sex: str
    addresses: _containers.RepeatedCompositeFieldContainer[Address]
    telecoms: _containers.RepeatedScalarFieldContainer[str]
    identifiers: _containers.RepeatedCompositeFieldContainer[PatientId]
    mothers_maiden_name: PersonName
    def __init__(self, names: _Optional[_Iterable[_Union[PersonName, _Mapping]]] = ..., birth_date: _Optional[str] = ..., sex: _Optional[str] = ..., addresses: _Optional[_Iterable[_Union[Address, _Mapping]]] = ..., telecoms: _Optional[_Iterable[str]] = ..., identifiers: _Optional[_Iterable[_Union[PatientId, _Mapping]]] = ..., mothers_maiden_name: _Optional[_Union[PersonName, _Mapping]] = ...) -> None: ...

class FindPatientsRequest(_message.Message):
    __slots__ = ("principal", "demographics", "targets")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    DEMOGRAPHICS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    demographics: Demographics
    targets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., demographics: _Optional[_Union[Demographics, _Mapping]] = ..., targets: _Optional[_Iterable[str]] = ...) -> None: ...

class KnownPatient(_message.Message):
    __slots__ = ("home_community_id", "patient_id")
    HOME_COMMUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    PATIENT_ID_FIELD_NUMBER: _ClassVar[int]
    home_community_id: str
    patient_id: PatientId
    def __init__(self, home_community_id: _Optional[str] = ..., patient_id: _Optional[_Union[PatientId, _Mapping]] = ...) -> None: ...

class DocumentSearch(_message.Message):
    __slots__ = ("since", "until", "without_on_demand", "with_deprecated")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_ON_DEMAND_FIELD_NUMBER: _ClassVar[int]
    WITH_DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    since: str
    until: str
    without_on_demand: bool
    with_deprecated: bool
    def __init__(self, since: _Optional[str] = ..., until: _Optional[str] = ..., without_on_demand: _Optional[bool] = ..., with_deprecated: _Optional[bool] = ...) -> None: ...

class FindDocumentsRequest(_message.Message):
    __slots__ = ("principal", "patients", "search")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    patients: _containers.RepeatedCompositeFieldContainer[KnownPatient]
    search: DocumentSearch
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., patients: _Optional[_Iterable[_Union[KnownPatient, _Mapping]]] = ..., search: _Optional[_Union[DocumentSearch, _Mapping]] = ...) -> None: ...

class FindChartRequest(_message.Message):
    __slots__ = ("principal", "demographics", "targets", "search", "retrieve")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    DEMOGRAPHICS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    RETRIEVE_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    demographics: Demographics
    targets: _containers.RepeatedScalarFieldContainer[str]
    search: DocumentSearch
    retrieve: bool
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., demographics: _Optional[_Union[Demographics, _Mapping]] = ..., targets: _Optional[_Iterable[str]] = ..., search: _Optional[_Union[DocumentSearch, _Mapping]] = ..., retrieve: _Optional[bool] = ...) -> None: ...

class DocumentRef(_message.Message):
    __slots__ = ("home_community_id", "repository_unique_id", "document_unique_id")
    HOME_COMMUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_UNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_UNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    home_community_id: str
    repository_unique_id: str
    document_unique_id: str
    def __init__(self, home_community_id: _Optional[str] = ..., repository_unique_id: _Optional[str] = ..., document_unique_id: _Optional[str] = ...) -> None: ...

class RetrieveRequest(_message.Message):
    __slots__ = ("principal", "documents")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    documents: _containers.RepeatedCompositeFieldContainer[DocumentRef]
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., documents: _Optional[_Iterable[_Union[DocumentRef, _Mapping]]] = ...) -> None: ...

class KnownResourcePatient(_message.Message):
    __slots__ = ("home_community_id", "patient_id", "fhir_id")
    HOME_COMMUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    PATIENT_ID_FIELD_NUMBER: _ClassVar[int]
    FHIR_ID_FIELD_NUMBER: _ClassVar[int]
    home_community_id: str
    patient_id: PatientId
    fhir_id: str
    def __init__(self, home_community_id: _Optional[str] = ..., patient_id: _Optional[_Union[PatientId, _Mapping]] = ..., fhir_id: _Optional[str] = ...) -> None: ...

class FindResourcesRequest(_message.Message):
    __slots__ = ("principal", "demographics", "known", "targets", "question")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    DEMOGRAPHICS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    demographics: Demographics
    known: _containers.RepeatedCompositeFieldContainer[KnownResourcePatient]
    targets: _containers.RepeatedScalarFieldContainer[str]
    question: str
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., demographics: _Optional[_Union[Demographics, _Mapping]] = ..., known: _Optional[_Iterable[_Union[KnownResourcePatient, _Mapping]]] = ..., targets: _Optional[_Iterable[str]] = ..., question: _Optional[str] = ...) -> None: ...

class SentDocument(_message.Message):
    __slots__ = ("content", "mime_type", "type_code", "title")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    TYPE_CODE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    mime_type: str
    type_code: str
    title: str
    def __init__(self, content: _Optional[bytes] = ..., mime_type: _Optional[str] = ..., type_code: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class DeliverRequest(_message.Message):
    __slots__ = ("principal", "targets", "demographics", "documents")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    DEMOGRAPHICS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    targets: _containers.RepeatedCompositeFieldContainer[KnownPatient]
    demographics: Demographics
    documents: _containers.RepeatedCompositeFieldContainer[SentDocument]
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., targets: _Optional[_Iterable[_Union[KnownPatient, _Mapping]]] = ..., demographics: _Optional[_Union[Demographics, _Mapping]] = ..., documents: _Optional[_Iterable[_Union[SentDocument, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("started", "ended", "chunk")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    started: LegStarted
    ended: LegEnded
    chunk: DocumentChunk
    def __init__(self, started: _Optional[_Union[LegStarted, _Mapping]] = ..., ended: _Optional[_Union[LegEnded, _Mapping]] = ..., chunk: _Optional[_Union[DocumentChunk, _Mapping]] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("organization_id", "home_community_id", "name")
    ORGANIZATION_ID_FIELD_NUMBER: _ClassVar[int]
    HOME_COMMUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    organization_id: str
    home_community_id: str
    name: str
    def __init__(self, organization_id: _Optional[str] = ..., home_community_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class LegStarted(_message.Message):
    __slots__ = ("peer", "transaction")
    PEER_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    peer: Peer
    transaction: str
    def __init__(self, peer: _Optional[_Union[Peer, _Mapping]] = ..., transaction: _Optional[str] = ...) -> None: ...

class LegEnded(_message.Message):
    __slots__ = ("leg_id", "exchange_id", "peer", "transaction", "outcome", "reason", "sentence", "started", "duration_ms", "errors", "matches", "documents", "received", "resources")
    LEG_ID_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    leg_id: str
    exchange_id: str
    peer: Peer
    transaction: str
    outcome: Outcome
    reason: str
    sentence: str
    started: _timestamp_pb2.Timestamp
    duration_ms: int
    errors: _containers.RepeatedCompositeFieldContainer[RegistryError]
    matches: _containers.RepeatedCompositeFieldContainer[Match]
    documents: _containers.RepeatedCompositeFieldContainer[DocumentEntry]
    received: _containers.RepeatedCompositeFieldContainer[ReceivedDocument]
    resources: int
    def __init__(self, leg_id: _Optional[str] = ..., exchange_id: _Optional[str] = ..., peer: _Optional[_Union[Peer, _Mapping]] = ..., transaction: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., sentence: _Optional[str] = ..., started: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration_ms: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[RegistryError, _Mapping]]] = ..., matches: _Optional[_Iterable[_Union[Match, _Mapping]]] = ..., documents: _Optional[_Iterable[_Union[DocumentEntry, _Mapping]]] = ..., received: _Optional[_Iterable[_Union[ReceivedDocument, _Mapping]]] = ..., resources: _Optional[int] = ...) -> None: ...

class ResourceEvent(_message.Message):
    __slots__ = ("started", "ended", "located", "answer", "bundle")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    LOCATED_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    started: LegStarted
    ended: LegEnded
    located: LocatedPatient
    answer: PeerAnswer
    bundle: bytes
    def __init__(self, started: _Optional[_Union[LegStarted, _Mapping]] = ..., ended: _Optional[_Union[LegEnded, _Mapping]] = ..., located: _Optional[_Union[LocatedPatient, _Mapping]] = ..., answer: _Optional[_Union[PeerAnswer, _Mapping]] = ..., bundle: _Optional[bytes] = ...) -> None: ...

class LocatedPatient(_message.Message):
    __slots__ = ("peer", "fhir_id")
    PEER_FIELD_NUMBER: _ClassVar[int]
    FHIR_ID_FIELD_NUMBER: _ClassVar[int]
    peer: Peer
    fhir_id: str
    def __init__(self, peer: _Optional[_Union[Peer, _Mapping]] = ..., fhir_id: _Optional[str] = ...) -> None: ...

class PeerAnswer(_message.Message):
    __slots__ = ("peer", "outcome", "reason", "sentence", "cut", "resources", "put_aside", "pages")
    PEER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    PUT_ASIDE_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    peer: Peer
    outcome: Outcome
    reason: str
    sentence: str
    cut: str
    resources: int
    put_aside: int
    pages: int
    def __init__(self, peer: _Optional[_Union[Peer, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., sentence: _Optional[str] = ..., cut: _Optional[str] = ..., resources: _Optional[int] = ..., put_aside: _Optional[int] = ..., pages: _Optional[int] = ...) -> None: ...

class RegistryError(_message.Message):
    __slots__ = ("code", "context", "warning", "location")
    CODE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    code: str
    context: str
    warning: bool
    location: str
    def __init__(self, code: _Optional[str] = ..., context: _Optional[str] = ..., warning: _Optional[bool] = ..., location: _Optional[str] = ...) -> None: ...

class Match(_message.Message):
    __slots__ = ("patient_id", "home_community_id", "demographics", "score", "organization_name")
    PATIENT_ID_FIELD_NUMBER: _ClassVar[int]
    HOME_COMMUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    DEMOGRAPHICS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    patient_id: PatientId
    home_community_id: str
    demographics: Demographics
    score: int
    organization_name: str
    def __init__(self, patient_id: _Optional[_Union[PatientId, _Mapping]] = ..., home_community_id: _Optional[str] = ..., demographics: _Optional[_Union[Demographics, _Mapping]] = ..., score: _Optional[int] = ..., organization_name: _Optional[str] = ...) -> None: ...

class DocumentEntry(_message.Message):
    __slots__ = ("ref", "entry_uuid", "patient_id", "on_demand", "deprecated", "mime_type", "class_code", "type_code", "format_code", "confidentiality", "authors", "title", "language", "creation_time", "service_start", "service_stop", "hash", "size")
    REF_FIELD_NUMBER: _ClassVar[int]
    ENTRY_UUID_FIELD_NUMBER: _ClassVar[int]
    PATIENT_ID_FIELD_NUMBER: _ClassVar[int]
    ON_DEMAND_FIELD_NUMBER: _ClassVar[int]
    DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    CLASS_CODE_FIELD_NUMBER: _ClassVar[int]
    TYPE_CODE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_CODE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENTIALITY_FIELD_NUMBER: _ClassVar[int]
    AUTHORS_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CREATION_TIME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_START_FIELD_NUMBER: _ClassVar[int]
    SERVICE_STOP_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ref: DocumentRef
    entry_uuid: str
    patient_id: PatientId
    on_demand: bool
    deprecated: bool
    mime_type: str
    class_code: Code
    type_code: Code
    format_code: Code
    confidentiality: _containers.RepeatedCompositeFieldContainer[Code]
    authors: _containers.RepeatedCompositeFieldContainer[Author]
    title: str
    language: str
    creation_time: str
    service_start: str
    service_stop: str
    hash: str
    size: int
    def __init__(self, ref: _Optional[_Union[DocumentRef, _Mapping]] = ..., entry_uuid: _Optional[str] = ..., patient_id: _Optional[_Union[PatientId, _Mapping]] = ..., on_demand: _Optional[bool] = ..., deprecated: _Optional[bool] = ..., mime_type: _Optional[str] = ..., class_code: _Optional[_Union[Code, _Mapping]] = ..., type_code: _Optional[_Union[Code, _Mapping]] = ..., format_code: _Optional[_Union[Code, _Mapping]] = ..., confidentiality: _Optional[_Iterable[_Union[Code, _Mapping]]] = ..., authors: _Optional[_Iterable[_Union[Author, _Mapping]]] = ..., title: _Optional[str] = ..., language: _Optional[str] = ..., creation_time: _Optional[str] = ..., service_start: _Optional[str] = ..., service_stop: _Optional[str] = ..., hash: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class Author(_message.Message):
    __slots__ = ("person", "institutions", "roles", "specialties")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    INSTITUTIONS_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    SPECIALTIES_FIELD_NUMBER: _ClassVar[int]
    person: str
    institutions: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    specialties: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, person: _Optional[str] = ..., institutions: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., specialties: _Optional[_Iterable[str]] = ...) -> None: ...

class ReceivedDocument(_message.Message):
    __slots__ = ("ref", "mime_type", "size", "sha256")
    REF_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ref: DocumentRef
    mime_type: str
    size: int
    sha256: str
    def __init__(self, ref: _Optional[_Union[DocumentRef, _Mapping]] = ..., mime_type: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class DocumentChunk(_message.Message):
    __slots__ = ("ref", "offset", "data", "last")
    REF_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    ref: DocumentRef
    offset: int
    data: bytes
    last: bool
    def __init__(self, ref: _Optional[_Union[DocumentRef, _Mapping]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...
