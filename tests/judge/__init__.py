"""Other people's programs as independent judges, each in an environment of its own."""
