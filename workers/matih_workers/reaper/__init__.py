"""Finds runs whose host is gone: they had heartbeats, and then nobody heard of them. See silence.py, and reaper.py."""
