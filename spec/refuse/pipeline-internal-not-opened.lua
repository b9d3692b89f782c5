-- expect: pipeline-internal-not-opened.lua:4: step "db" wants to reach "10.1.2.3", but the policy does not allow it (policies/codex.lua:16); a step only narrows
return pipeline "x" {
  policy = "codex",
  step "db" { run = { "true" }, network = { only { "10.1.2.3:5432" } } },
}
