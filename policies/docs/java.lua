-- An agent that can read the manual guesses less.
return group "docs.java" {
  about = "Documentation of Java.",
  "docs.oracle.com",
  "openjdk.org",
}
