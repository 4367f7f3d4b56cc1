"""What networks are made of: padding, blocks, initialisation, averaging, cost."""
