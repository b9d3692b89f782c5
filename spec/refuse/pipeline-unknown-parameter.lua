-- expect: pipeline-unknown-parameter.lua:4: there is no parameter `$rep`; did you mean `$repo`?
return pipeline "x" {
  needs = { repo = repository {} },
  step "clone" { run = { "git", "clone", "$rep", "/workspace" } },
}
