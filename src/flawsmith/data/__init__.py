"""Defect data sets: schema, records, label maps, formats, checks, folds, tiles, the simulator."""
