"""The use cases: ingest, erase, count, publish and account."""
