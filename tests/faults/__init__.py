"""Faults done to real processes of the command: killed, stopped, disturbed, and what is left to go on from."""
