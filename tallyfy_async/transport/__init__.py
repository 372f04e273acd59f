"""One exchange with a server: clock, cancellation, pace, HTTP."""
