"""One matrix product on any of the seven dataflows: from a matrix in a file to a program."""
