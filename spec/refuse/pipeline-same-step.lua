-- expect: pipeline-same-step.lua:4: there is a step "test" already, on line 3
return pipeline "x" {
  step "test" { run = { "true" } },
  step "test" { run = { "false" } },
}
