-- Every step has a time limit; one that overruns it is ended with all its processes and exit code 124.
-- `allow_failure` lets the pipeline go on.
--
--   moonbox run examples/time-limit.lua
return pipeline "time-limit" {
  about  = "Ends a step that would sleep for an hour.",
  policy = "offline",

  step "sleep" { run = { "sleep", "3600" }, time = 1 * seconds, allow_failure = true },
  step "after" { run = { "echo", "still here" } },
}
