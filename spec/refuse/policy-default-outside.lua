-- expect: policy-default-outside.lua:4: the default is outside of `min` and `max`
return policy "x" {
  needs = { n = number { min = 2, max = 8,
    default = 9 } },
}
