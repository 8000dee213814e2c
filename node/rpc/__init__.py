"""The gRPC services and their client."""
