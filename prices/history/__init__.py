"""Prices over time: written as revisions, and read by time and by revision."""
