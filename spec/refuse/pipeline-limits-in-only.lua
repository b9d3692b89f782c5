-- expect: pipeline-limits-in-only.lua:4: unknown key `bytes` in `only`
return pipeline "x" {
  policy = "codex",
  step "db" { run = { "true" }, network = { only { "github.com", bytes = 1 * GB } } },
}
