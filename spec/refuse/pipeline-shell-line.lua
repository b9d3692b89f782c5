-- expect: pipeline-shell-line.lua:3: `run` is a list of arguments, never a shell line: run = { "git", "status" }
return pipeline "x" {
  step "install" { run = "npm ci && npm test" },
}
