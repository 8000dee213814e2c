"""The console: pages for the people who watch over the exchange, rendered on the server."""
