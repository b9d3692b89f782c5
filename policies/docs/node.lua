-- An agent that can read the manual guesses less.
return group "docs.node" {
  about = "Documentation of Node.js and TypeScript.",
  bare = true,
  "*.nodejs.org",
  "*.typescriptlang.org",
}
