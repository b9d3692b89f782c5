-- expect: unknown-limit.lua:5: unknown key `memmory` in `limits`; did you mean `memory`?
return policy "x" {
  limits = {
    cpus = 2,
    memmory = 1 * GB,
  },
}
