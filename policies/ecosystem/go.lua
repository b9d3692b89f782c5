-- Go projects fetch modules and checksums from here.
return group "ecosystem.go" {
  about = "Modules of go.",
  "*.golang.org",
}
