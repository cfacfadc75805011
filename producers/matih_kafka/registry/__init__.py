"""A schema registry with Confluent's API: which id a schema has there, kept on disk for when it does not answer."""
