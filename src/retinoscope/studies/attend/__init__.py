"""Which saliency maps find the object, and by how much."""
