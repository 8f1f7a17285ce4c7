"""Tests of the hashing methods."""
