"""Losses: pure functions of networks' outputs, mean-reduced, in float32."""
