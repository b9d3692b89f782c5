-- expect: pipeline-both.lua:3: step "both" has both `run` and `do`; it takes one of them
return pipeline "x" {
  step "both" { run = { "true" }, do = function (box) return box end },
}
