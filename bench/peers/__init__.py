"""Loom beside the systems that a user would otherwise choose: one driver, one adapter per system."""
