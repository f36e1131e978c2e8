"""The networks from picture to hand parameters."""
