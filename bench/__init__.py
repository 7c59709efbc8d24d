"""Benchmarks of fastmfg; conftest.py says how to run and read them."""
