"""Tests of the HTTP door, over a real database filled by the real refresh."""
