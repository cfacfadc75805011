"""The journal: what a training process has logged, on disk until Kafka has acknowledged it.

writer.py        appends entries (the training process)
reader.py        hands them out in order (the shipper)
cursor.py        how many are acknowledged
ownership.py     whether the writer still lives
listing.py       the journals of a spool, and what of them may be deleted
entries.py       what an entry says

journals/<producer id>/lock             held by the writing process, with its pid and start time
                       cursor           the acknowledged prefix, written by the shipper
                       origin           the first entry, once its segment is on Kafka and deleted
                       <ordinal>.seg    segments: a header and frames (frames.py, segment.py)
"""
