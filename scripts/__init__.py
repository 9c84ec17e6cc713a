"""What draws and builds parts of the documentation from the code."""
