-- A secret of the caller's environment reaches the one step that names it. Records and output show *** in its place.
--
--   API_KEY=correct-horse moonbox run examples/secret.lua
return pipeline "secret" {
  about  = "Uses a secret in one step; the next step doesn't have it.",
  policy = "offline",

  step "with"    { run = { "sh", "-c", "echo the key is $$API_KEY" }, secrets = { "API_KEY" } },
  step "without" { run = { "sh", "-c", "test -z \"$$API_KEY\" && echo no key here" } },
}
