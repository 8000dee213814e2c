"""Sends the log to an audit repository while the node serves: ATNA over syslog and TLS."""
