-- Ruby projects install from here; tools that ask a bare domain are given it by a policy's own row.
return group "ecosystem.rubygems" {
  about = "Packages of gem and bundler.",
  "*.rubygems.org",
}
