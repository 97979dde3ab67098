"""Tests of the ground: what the service knows."""
