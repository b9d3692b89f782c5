-- Ruby projects install from here: gem asks the bare domain, bundler a subdomain too.
return group "ecosystem.rubygems" {
  about = "Packages of gem and bundler.",
  bare = true,
  "*.rubygems.org",
}
