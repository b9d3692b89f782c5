-- expect: inspect.lua:4: `inspect` is kept for a later version of moonbox; leave it out
return policy "x" {
  network = { allow { "docs.python.org" },
    inspect = true },
}
