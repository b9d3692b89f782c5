-- An agent that can read the manual guesses less.
return group "docs.python" {
  about = "Documentation of Python.",
  "docs.python.org",
  "*.readthedocs.io",
  "*.readthedocs.org",
}
