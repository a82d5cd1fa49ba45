"""What receivers and operators may ask; the only calls that the dialects make."""
