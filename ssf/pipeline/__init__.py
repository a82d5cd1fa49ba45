"""Event in, delivery rows out; meets ssf.delivery only in the store."""
