"""The FHIR server of the health system, in front of which the node stands as a gateway."""
