-- expect: methods-without-inspect.lua:4: `methods` can only be told apart with `inspect = true` beside the rows
return policy "x" {
  network = {
    allow { "docs.python.org", methods = { "GET" } },
  },
}
