"""Tests of Calv-a-lot."""
