"""Comparing runs: which is best, what params have to do with it. Pure: functions of a reader's tables and summaries."""
