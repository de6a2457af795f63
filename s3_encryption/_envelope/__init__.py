"""What is stored about an object: formats V1, V2 and V3, and their fields."""
