"""The use cases: discover, query, retrieve, chart, respond, over ``ports`` alone."""
