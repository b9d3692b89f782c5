-- expect: pipeline-wider-time.lua:6: step "long" asks for time = 2 hours, more than the 10 minutes of policies/offline.lua:11; a step only tightens
return pipeline "x" {
  policy = "offline",
  step "long" {
    run = { "true" },
    time = 2 * hours,
  },
}
