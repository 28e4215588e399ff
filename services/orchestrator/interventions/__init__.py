"""People inside a journey moved by hand, many at once, each time with who did it and why."""
