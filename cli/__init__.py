"""The ageha command."""
