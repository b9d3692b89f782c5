-- expect: key-of-limits.lua:4: unknown key `memory` in `policy`; it is a key of `limits`
return policy "x" {
  extends = "base",
  memory = 4 * GB,
}
