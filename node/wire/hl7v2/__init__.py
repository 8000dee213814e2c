"""HL7 version 2 messages: read into values, and acknowledged. Pure."""
