-- Go projects fetch modules and their checksums from here, through the default proxy; toolchains come the same way.
-- The proxy sends some large archives to storage.googleapis.com (golang/go#52908). Anybody may keep files there, so a
-- policy that wants them says so itself.
return group "ecosystem.go" {
  about = "Modules of go.",
  bare = true,
  "*.golang.org",
}
