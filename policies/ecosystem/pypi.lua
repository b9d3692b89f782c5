-- Python projects install from here. The index is asked by the bare domain, archives by a subdomain of another.
return group "ecosystem.pypi" {
  about = "Packages of pip, uv and poetry.",
  bare = true,
  "*.pypi.org",
  "*.pythonhosted.org",
}
