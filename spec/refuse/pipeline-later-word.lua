-- expect: pipeline-later-word.lua:3: `cache` is kept for a later version of moonbox; leave it out
return pipeline "x" {
  step "install" { run = { "npm", "ci" }, cache = {} },
}
