"""The TEFCA node: asks, answers and records exchanges. ``node.app`` is the composition root."""
