-- expect: policy-option-as-parameter.lua:3: `bind` is an option of the commands that take a policy itself; name the parameter otherwise
return policy "x" {
  needs = { bind = text {} },
}
