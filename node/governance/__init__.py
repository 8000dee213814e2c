"""What people who watch over the exchange read and decide: exchanges, cases, denials, reports."""
