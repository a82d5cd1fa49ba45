"""Delivery rows out to receivers; meets ssf.pipeline only in the store."""
