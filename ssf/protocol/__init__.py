"""Words on the wire, shared by transmitter and receiver: no I/O, standard library only."""
