-- An agent that can read the manual guesses less.
return group "docs.go" {
  about = "Documentation of Go and its modules.",
  "go.dev",
  "pkg.go.dev",
}
