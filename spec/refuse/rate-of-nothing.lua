-- expect: rate-of-nothing.lua:2: `requests` is at least 1 in a time, not 0 / second
return policy "x" { network = { allow { "example.org" }, requests = 0 / second } }
