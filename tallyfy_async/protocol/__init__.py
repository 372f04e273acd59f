"""Facts of the wire, as pure functions and values: no I/O, no clock, no event loop."""
