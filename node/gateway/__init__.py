"""Inbound HTTP: the SOAP endpoints over mutual TLS."""
