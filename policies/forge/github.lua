-- Most dependencies and most repositories live here. What is pushed here leaves the box: deny it where that matters.
return group "forge.github" {
  about = "GitHub: git, pages of the site, raw files, releases, large files.",
  "github.com",
  "*.github.com",
  "*.githubusercontent.com",
  "github-cloud.s3.amazonaws.com",
}
