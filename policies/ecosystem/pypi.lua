-- Python projects install from here; tools that ask a bare domain are given it by a policy's own row.
return group "ecosystem.pypi" {
  about = "Packages of pip, uv and poetry.",
  "*.pypi.org",
  "*.pythonhosted.org",
}
