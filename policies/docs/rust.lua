-- An agent that can read the manual guesses less.
return group "docs.rust" {
  about = "Documentation of Rust and its crates.",
  bare = true,
  "doc.rust-lang.org",
  "*.docs.rs",
}
