"""The health system's FHIR resources: indexed in the node's database, served as they came."""
