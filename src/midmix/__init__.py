"""midmix: better recognition of rare classes, by mixing features between classes."""
