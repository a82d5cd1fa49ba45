"""The only SQL. Methods are verbs of the domain, not CRUD per table."""
