"""What takes the project to other machines."""
