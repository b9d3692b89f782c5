-- expect: pipeline-wider-ports.lua:4: step "fetch" wants to reach "github.com", but the policy allows it on other ports only (policies/codex.lua:16); a step only narrows
return pipeline "x" {
  policy = "codex",
  step "fetch" { run = { "true" }, network = { only { "github.com", ports = { 8080 } } } },
}
