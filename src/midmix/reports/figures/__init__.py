"""One figure a file: numbers in, a ``Drawing`` out."""
