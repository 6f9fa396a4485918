"""Continuous-time and two-point counterparts of gradient descent, as pure steps on an objective."""
