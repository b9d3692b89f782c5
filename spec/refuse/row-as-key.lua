-- expect: row-as-key.lua:4: unknown key `read_only` in `files`; it is a row, which has no `=`: read_only { … }
return policy "x" {
  extends = "base",
  files = { read_only = { "/opt" } },
}
