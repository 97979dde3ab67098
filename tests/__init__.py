"""Tests of Pricebeat; folders mirror the tree, and whatever spans processes has its own."""
