"""Who we are: tokens, the grants that bring them, and the manager that keeps them alive."""
