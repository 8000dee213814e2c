"""The whole network as a FHIR server for our own systems, at ``{public_url}/network``."""
