"""The C driver: freestanding C99 on top of the headers that `ageha generate` writes."""
