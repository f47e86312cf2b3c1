"""What a file shows: one folder for each medium, behind one plug."""
