-- expect: policy-dollar.lua:4: "a $ b" has a $ that names nothing; write $$ for a dollar sign
return policy "x" {
  needs = { host = text { default = "a.org" } },
  env = { PROMPT = "a $ b" },
}
