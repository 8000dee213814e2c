"""The sample network: made-up people, their documents, well- and ill-behaved peers."""
