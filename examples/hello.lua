-- The smallest pipeline: one parameter, one command in a fresh sandbox.
--
--   moonbox run examples/hello.lua --name=world
return pipeline "hello" {
  about  = "Greets somebody from inside a sandbox.",
  policy = "offline",
  needs  = { name = text { about = "whom to greet", default = "world" } },

  step "greet" { run = { "echo", "hello, $name" } },
}
