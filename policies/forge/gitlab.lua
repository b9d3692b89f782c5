-- Repositories and registries of GitLab's own service.
return group "forge.gitlab" {
  about = "GitLab: git and pages of the site.",
  "gitlab.com",
  "*.gitlab.com",
}
