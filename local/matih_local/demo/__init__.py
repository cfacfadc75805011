"""The demo: real training, logged through the whole pipe, with faults in the middle and a count at the end."""
