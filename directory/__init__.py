"""Who is out there and how to reach them: organisations, endpoints, purposes and hierarchy."""
