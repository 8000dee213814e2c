"""The FHIR server's HTTP side: requests read, answers sent; everything else is below."""
