"""The REST API and the event gateway: an event producer that also answers reads."""
