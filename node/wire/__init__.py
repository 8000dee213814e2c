"""Bytes to values and back, pure: SOAP, MTOM, HL7 v3, ebXML, CDA, FHIR."""
