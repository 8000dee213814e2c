"""The schema's history; applied by ``node.storage.engine.migrate``, never by hand."""
