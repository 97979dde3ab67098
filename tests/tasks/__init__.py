"""Tests of the queue door: its settings, its schedule and its commands."""
