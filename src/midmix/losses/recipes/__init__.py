"""Our losses, a family a file. A new one is a function here that `LOSSES.register` decorates."""
