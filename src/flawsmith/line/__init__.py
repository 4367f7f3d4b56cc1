"""Inspection on the line: verdicts, results store, watched folders, reviews, service, sinks."""
