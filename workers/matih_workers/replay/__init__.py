"""The events once more, into a store: what is missing, or everything into an empty one."""
