"""FHIR R4 on the wire: search, bundles, outcomes. Pure; resources stay the bytes that they are."""
