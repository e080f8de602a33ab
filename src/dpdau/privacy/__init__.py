"""Mechanisms, their calibration and composition, and the design of continual releases."""
