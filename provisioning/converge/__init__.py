"""Bring one service on one machine to its wanted state, and away again: read, compare, act, check, or put back."""
