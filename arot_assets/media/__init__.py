"""Media: one folder for each kind of file, behind one protocol."""
