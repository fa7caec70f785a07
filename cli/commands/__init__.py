"""One module a command of `ageha`."""
