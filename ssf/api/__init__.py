"""HTTP dialects: parse, call, shape. Never each other, never the store."""
