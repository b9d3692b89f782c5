-- A step that may fail now and then is tried again: `retry = 2` means up to three tries.
-- The filesystem stays as the failed try left it, which is what lets this example count.
--
--   moonbox run examples/retry.lua
return pipeline "retry" {
  about  = "Passes at the third try.",
  policy = "offline",

  step "flaky" { run = { "sh", "-c", "echo try >> tries; test $$(wc -l < tries) -eq 3" }, retry = 2 },
}
