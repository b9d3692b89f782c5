-- An agent that can read the manual guesses less.
return group "docs.web" {
  about = "Documentation of the web's languages.",
  "developer.mozilla.org",
  "*.w3.org",
  "*.whatwg.org",
}
