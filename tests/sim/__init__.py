"""An in-memory network of well- and ill-behaved peers, for the use cases."""
