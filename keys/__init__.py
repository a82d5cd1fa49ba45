"""Keys and tokens: the only JOSE code. Imports nothing of `ssf` or `receiver`."""
