"""The endpoints: a file for each thing, one router for each family."""
