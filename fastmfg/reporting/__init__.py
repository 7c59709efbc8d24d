"""Runs that people look at: experiments, their folders, progress, summaries and pictures."""
