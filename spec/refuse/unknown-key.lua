-- expect: unknown-key.lua:4: unknown key `limit` in `policy`; did you mean `limits`?
return policy "x" {
  extends = "base",
  limit = { cpus = 2 },
}
