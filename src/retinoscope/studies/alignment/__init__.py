"""Do saliency maps agree with where people look? After VISTA (Harshit and Tasdizen 2024)."""
