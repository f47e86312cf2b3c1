"""What people call from a notebook."""
