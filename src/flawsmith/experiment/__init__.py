"""Experiments: balance a data set, test whether it helped, report it."""
