-- expect: policy-repository.lua:3: `repository` is a word of pipeline files, not of policy files
return policy "x" {
  needs = { source = repository {} },
}
