-- expect: pipeline-no-policy-file.lua:3: `policy`: spec/refuse/./nowhere.lua can't be read: No such file or directory
return pipeline "x" {
  policy = "./nowhere.lua", step "a" { run = { "true" } },
}
