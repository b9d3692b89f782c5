-- expect: pipeline-wider-network.lua:4: step "fetch" wants to reach "example.org", but the policy does not allow it (policies/codex.lua:16); a step only narrows
return pipeline "x" {
  policy = "codex",
  step "fetch" { run = { "true" }, network = { only { "example.org" } } },
}
