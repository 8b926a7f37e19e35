"""Tables as people have them: what each column is, and how numbers are made of it."""
