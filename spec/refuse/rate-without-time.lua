-- expect: rate-without-time.lua:2: `requests` takes a rate such as 100 / minute, not the number 100
return policy "x" { network = { allow { "x.org", requests = 100 } } }
