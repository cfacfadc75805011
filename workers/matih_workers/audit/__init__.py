"""The archive of the events topic that proves itself: record files, a Merkle log over them, and who checks it.

Pure: `record.py` and `container.py` (the files' bytes), `entries.py` (the log's entries), `merkle.py`, `tiles.py`,
`notes.py` and `checkpoint.py` (C2SP's formats). On a `Storage`: `log.py`, `reading.py`. Whoever replays the archive
reads it by `reading.py:ArchiveReader.records`.
"""
