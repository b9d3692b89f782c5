-- expect: pipeline-command-in-text.lua:4: `$agent` is a command of several arguments, so it stands alone as one argument of `run`
return pipeline "x" {
  needs = { agent = command {} },
  step "agent" { run = { "sh", "-c", "exec $agent" } },
}
