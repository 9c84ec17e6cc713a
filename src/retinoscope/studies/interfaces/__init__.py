"""What each visual interface keeps of an image, and the paper's experiments on its tokens."""
