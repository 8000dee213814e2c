"""UDAP (HL7 FAST Security): the rules of its tokens. Pure: time and replay are asked for."""
