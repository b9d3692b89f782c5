-- expect: methods.lua:3: `methods` is kept for a later version of moonbox; leave it out
return policy "x" {
  network = { allow { "docs.python.org", methods = { "GET" } } },
}
