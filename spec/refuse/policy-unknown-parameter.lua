-- expect: policy-unknown-parameter.lua:4: there is no parameter `$hots`; did you mean `$host`?
return policy "x" {
  needs = { host = text {} },
  network = { allow { "$hots" } },
}
