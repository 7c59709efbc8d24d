"""Compiled functions of the games people know, one topic a file."""
