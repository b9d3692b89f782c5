-- An agent that can read the manual guesses less.
return group "docs.ruby" {
  about = "Documentation of Ruby.",
  "docs.ruby-lang.org",
  "ruby-doc.org",
}
