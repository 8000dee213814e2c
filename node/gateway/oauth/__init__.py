"""The authorization server of the FHIR side: UDAP registration, tokens, introspection."""
