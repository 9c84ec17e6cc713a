"""How long a description is, with and without each object's tokens."""
